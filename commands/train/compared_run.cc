#include "commands/train/compared_run.h"

#include <set>

#include "checkpoint/model_file.h"
#include "commands/train/report_page.h"
#include "configs/option_text.h"
#include "core/process/output.h"
#include "core/text/numbers.h"
#include "inspect/page/page.h"
#include "inspect/page/web_files.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

const char* const unknown = "-";

// From the newest checkpoint, whose tensors are dropped at once.
void read_options(ComparedRun& run) {
  for (const fs::path& path : {last_checkpoint(run.name), best_checkpoint(run.name)}) {
    if (!fs::exists(path)) continue;
    const CheckpointFile file = load(path);
    const GptConfig model = model_config(file);
    for (const auto& [key, value] : file.attributes)
      if (key.starts_with("option/")) run.options[key.substr(7)] = shown(value);
    each_field(model, [&](std::string name, const auto& field, auto&&) {
      if constexpr (std::is_same_v<std::decay_t<decltype(field)>, Activation>)
        run.options[name] = quoted(field.name());
      else
        run.options[name] = shown(field);
    });
    auto integer = [&](const char* name) {
      return double(file.attribute<int64_t>(std::string("option/") + name));
    };
    run.tokens_per_iteration =
        integer("gradient_accumulation_steps") * integer("batch_size") * double(model.block_size);
    return;
  }
}

std::string duration(double s) {
  if (s < 120) return fmt::format("{:.1f} s", s);
  return s < 7200 ? fmt::format("{:.1f} min", s / 60) : fmt::format("{:.2f} h", s / 3600);
}

Json rows_json(const std::vector<ComparedRow>& rows) {
  Json json = Json::array();
  for (const ComparedRow& row : rows) {
    Json cells{row.name};
    for (const std::string& value : row.values) cells.push_back(value);
    json.push_back(cells);
  }
  return json;
}

}  // namespace

ComparedRun read_run(const std::string& folder) {
  ComparedRun run{.name = folder, .history = {}, .options = {}};
  const fs::path log = fs::path(folder) / "log.csv";
  check(fs::exists(log), "{}: is not the folder of a run: it has no log.csv", folder);
  for (const LogRow& row : read_log(log)) run.history.add(row);
  try {
    read_options(run);
  } catch (const Error& error) {
    note("folio: {}; its options are left out\n", error.what());
  }
  return run;
}

std::vector<ComparedRow> result_rows(const std::vector<ComparedRun>& runs) {
  std::vector<ComparedRow> rows;
  auto add = [&](const char* name, auto&& text_of) {
    ComparedRow& row = rows.emplace_back(ComparedRow{name, {}});
    for (const ComparedRun& run : runs) row.values.push_back(text_of(run));
  };
  auto loss = [](const std::optional<double>& value) {
    return value ? fmt::format("{:.4f}", *value) : std::string(unknown);
  };
  auto last = [](const ComparedRun& run) {
    return run.history.evaluations().empty() ? LogRow{} : run.history.evaluations().back();
  };
  add("best val loss", [&](const ComparedRun& run) {
    return run.history.best() ? loss(run.history.best()->val_loss) : unknown;
  });
  add("  at iteration", [&](const ComparedRun& run) {
    return run.history.best() ? fmt::format("{}", run.history.best()->iter) : unknown;
  });
  add("last val loss", [&](const ComparedRun& run) { return loss(last(run).val_loss); });
  add("last train loss", [&](const ComparedRun& run) { return loss(last(run).train_loss); });
  add("iterations", [](const ComparedRun& run) { return with_commas(run.history.last_iter()); });
  add("tokens", [](const ComparedRun& run) {
    if (!run.tokens_per_iteration) return std::string(unknown);
    return with_commas(int64_t(*run.tokens_per_iteration) * run.history.last_iter());
  });
  add("time", [](const ComparedRun& run) {
    return run.history.seconds() > 0 ? duration(run.history.seconds()) : unknown;
  });
  return rows;
}

std::vector<ComparedRow> differing_rows(const std::vector<ComparedRun>& runs) {
  std::set<std::string> names;
  for (const ComparedRun& run : runs)
    for (const auto& [name, value] : run.options) names.insert(name);
  for (const char* shown :
       {"out_dir", "eval_only", "report", "sample_tokens", "tensorboard", "plot"})
    names.erase(shown);
  std::vector<ComparedRow> rows;
  for (const std::string& name : names) {
    ComparedRow row{name, {}};
    for (const ComparedRun& run : runs) {
      auto found = run.options.find(name);
      row.values.push_back(found == run.options.end() ? unknown : found->second);
    }
    const bool differs = std::ranges::any_of(
        row.values, [&](const std::string& value) { return value != row.values[0]; });
    if (differs) rows.push_back(row);
  }
  return rows;
}

std::string compare_html(const std::vector<ComparedRun>& runs) {
  Json all = Json::array();
  for (const ComparedRun& run : runs)
    all.push_back({{"name", run.name},
                   {"tokens_per_iteration", run.tokens_per_iteration.value_or(0)},
                   {"curves", curves_json(run.history)}});
  return to_html({.title = fmt::format("folio: {} runs compared", runs.size()),
                  .body = std::string(web_file("training/compare.html")),
                  .styles = {"training/training.css"},
                  .scripts = {"line_chart.js", "training/curves.js", "training/compare.js"},
                  .data = {{"runs", all},
                           {"result-rows", rows_json(result_rows(runs))},
                           {"differing-rows", rows_json(differing_rows(runs))}}});
}

}  // namespace folio
