#include "inspect/report.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "inspect/page/web_files.h"
#include "inspect/source_lines.h"

namespace folio {
namespace {

using Json = nlohmann::ordered_json;

// A tensor to look at: 8 bits an element, value = i8 / 127 scale; what is not finite is -128.
Json heat_json(const HostArray& x) {
  float scale = 0;
  for (float value : x.values)
    if (std::isfinite(value)) scale = std::max(scale, std::abs(value));
  std::string bytes(x.values.size(), '\0');
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = !std::isfinite(x.values[i]) ? char(-128)
               : scale == 0                ? '\0'
                                           : char(std::lround(x.values[i] / scale * 127));
  return {{"shape", x.shape}, {"scale", scale}, {"i8", base64(bytes)}};
}

// Of every tensor of the walk but those that the page has in full, and the logits of a vocabulary
// too large to look at.
Json heats_json(const Inspection& all) {
  Json heats;
  for (const WalkStep& step : all.walk)
    if (step.in_block != "attn.probabilities" && step.in_block != "logits")
      heats[step.point] = heat_json(all.captures.at(step.point));
  return heats;
}

Json weights_json(Gpt& model) {
  Json weights;
  model.parameters([&](const std::string& name, Parameter& p) {
    const HostArray host = on_host(p.array());
    weights[name] = array_json(host.values, host.shape);
  });
  return weights;
}

Json source_json(const SourceLines& source) {
  return {{"file", source.file},
          {"first_line", source.first_line},
          {"text", source.text},
          {"begin", source.begin},
          {"end", source.end}};
}

// By the point that the lines compute, and of what the other panels speak of.
Json sources_json(const Inspection& all) {
  std::set<std::string> points;
  for (const WalkStep& step : all.walk) points.insert(step.in_block);
  Json sources;
  for (const std::string& point : points) sources[point] = source_json(source_of_point(point));
  sources["backward"] = source_json(source_of_function("autograd/tensor.cc", "Tensor::walk("));
  sources["cached"] =
      source_json(source_of_function("nn/attention.cc", "CausalSelfAttention::cached("));
  sources["append"] =
      source_json(source_of_function("core/cpu/kv_cache.cc", "append(const CachedHead<E, S>"));
  return sources;
}

}  // namespace

Page report_page(const Inspection& inspection, Gpt& model, const ReportOptions& options,
                 const Besides& besides) {
  Json report = to_json(inspection, besides);
  report["live"] = options.live;
  report["past_block"] = options.past_block;
  if (options.live) {
    report["weights"] = weights_json(model);
    report.erase("attention");  // megabytes that the page works out
  } else {
    report["heats"] = heats_json(inspection);
  }
  report["sources"] = sources_json(inspection);
  return {.title = "folio inspect: " + inspection.source,
          .body = std::string(web_file("inspect/report.html")),
          .styles = {"inspect/report.css"},
          .scripts = {"line_chart.js", "heat_map.js", "inspect/model.js", "inspect/analysis.js",
                      "inspect/sampler.js", "inspect/state.js", "inspect/walk.js",
                      "inspect/attention.js", "inspect/lens.js", "inspect/what_if.js",
                      "inspect/backward.js", "inspect/cache.js", "inspect/play.js",
                      "inspect/compare.js", "inspect/over_training.js", "inspect/questions.js",
                      "inspect/report.js"},
          .data = {{"report", std::move(report)}}};
}

}  // namespace folio
