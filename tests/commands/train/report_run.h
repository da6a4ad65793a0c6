#pragma once
#include <nlohmann/json.hpp>

#include "commands/train/train_report.h"
#include "data/files/files.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {

// A tiny run with everything on that watches it, which writes and prints as `folio train` does.
inline TrainOptions watched_options(const TemporaryFolder& folder) {
  TrainOptions o = tiny_options(folder);
  o.max_iters = 12;
  o.eval_interval = 4;
  o.log_interval = 1;
  o.sample_tokens = 20;
  o.tensorboard = true;
  return o;
}

// Trains -> whether the report is complete.
inline bool train_watched(const TrainOptions& options) {
  Run run(options, {});
  Report report;
  train(run, report);
  return report.complete();
}

// What stands in a page's <script type="application/json" id="...">.
inline nlohmann::json page_data(const std::string& html, const std::string& id) {
  const std::string open = fmt::format("<script type=\"application/json\" id=\"{}\">", id);
  const size_t begin = html.find(open), end = html.find("</script>", begin);
  check(begin != html.npos && end != html.npos, "the page has no data {}", id);
  return nlohmann::json::parse(html.substr(begin + open.size(), end - begin - open.size()));
}

// The numbers of array_json, decoded by RFC 4648's definition.
inline std::vector<float> numbers(const nlohmann::json& json) {
  const std::string text = json.at("f32");
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0, count = 0;
  for (char c : text) {
    if (c == '=') break;
    bits = bits << 6 | uint32_t(digits.find(c));
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes += char(bits >> count & 0xff);
  }
  std::vector<float> values(bytes.size() / sizeof(float));
  std::copy_n(bytes.data(), values.size() * sizeof(float), reinterpret_cast<char*>(values.data()));
  return values;
}

}  // namespace folio
