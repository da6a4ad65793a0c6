#include "commands/train/report_page.h"

#include <chrono>
#include <ctime>
#include <limits>

#include "configs/option_text.h"
#include "core/backend.h"
#include "core/parallel.h"
#include "data/text/visible.h"
#include "inspect/page/page.h"
#include "inspect/page/web_files.h"

namespace folio {
namespace {

using Json = nlohmann::ordered_json;

// Name, value, default and where it was given, "" for a default; those that were given come first.
Json options_json(const Run& run) {
  const OptionValues now = option_values(run.options), defaults = option_values(TrainOptions{});
  Json given = Json::array(), others = Json::array();
  for (const auto& [name, value] : now) {
    const bool changed = value != defaults.at(name);
    auto origin = run.origins.find(name);
    Json row{name, shown(value), shown(defaults.at(name)),
             origin == run.origins.end() ? "" : origin->second};
    (changed ? given : others).push_back(row);
  }
  return {{"given", given}, {"others", others}};
}

Json rows_json(const std::vector<LogRow>& rows) {
  const auto n = int64_t(rows.size());
  std::vector<float> values;
  for (const LogRow& row : rows) values.push_back(float(row.iter));
  Json json{{"iter", array_json(values, {n})}};
  for (const LogColumn& column : log_columns()) {
    for (int64_t i = 0; i < n; ++i) {
      const std::optional<double>& value = rows[size_t(i)].*column.member;
      values[size_t(i)] = value ? float(*value) : std::numeric_limits<float>::quiet_NaN();
    }
    json[column.name] = array_json(values, {n});
  }
  return json;
}

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

}  // namespace

ReportPage::ReportPage(Run& run, const MachinePeak& peak) {
  const TrainOptions& o = run.options;
  const Device device = run.model->context().device;
  const UnitPeak& unit = peak.of(dtype_named(o.dtype));
  const double tokens =
      double(o.gradient_accumulation_steps) * double(o.batch_size) * double(o.model.block_size);
  facts_ = {{"out_dir", o.out_dir},
            {"dataset", o.dataset},
            {"tokens_per_iteration", tokens},
            {"train_tokens", run.data.train.size()},
            {"max_iters", o.max_iters},
            {"parameters", run.model->num_params(false)},
            {"flops_per_token", run.model->training_flops_per_token()},
            {"peak_flops", unit.flops},
            {"peak_unit", unit.unit},
            {"options", options_json(run)},
            {"machine",
             {{"name", backend(device)->machine.name()},
              {"device", o.device},
              {"threads", parallel_threads()},
              {"dtype", o.dtype}}}};
}

Json curves_json(const RunHistory& history) {
  const LogRow* best = history.best();
  return {{"evaluations", rows_json(history.evaluations())},
          {"steps", rows_json(history.steps())},
          {"seconds", history.seconds()},
          {"last_iter", history.last_iter()},
          {"best", best ? Json{{"iter", best->iter}, {"val_loss", *best->val_loss}} : Json()}};
}

std::string ReportPage::html(const RunHistory& history, const std::vector<TrainingSample>& samples,
                             const std::string& state) const {
  Json texts = Json::array();
  for (const auto& [iter, text] : samples) texts.push_back({{"iter", iter}, {"text", text}});
  return to_html({.title = visible(facts_["out_dir"].get<std::string>(), true) + ": training",
                  .body = std::string(web_file("training/report.html")),
                  .styles = {"training/training.css"},
                  .scripts = {"line_chart.js", "training/curves.js", "training/report.js"},
                  .data = {{"facts", facts_},
                           {"curves", curves_json(history)},
                           {"samples", texts},
                           {"now", {{"state", state}, {"written", time_of_day()}}}}});
}

}  // namespace folio
