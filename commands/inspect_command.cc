#include "commands/inspect_command.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "checkpoint/model_tokenizer.h"
#include "commands/give_window.h"
#include "configs/model_rows.h"
#include "configs/option_table.h"
#include "core/parallel.h"
#include "core/process/output.h"
#include "core/process/stop.h"
#include "core/text/numbers.h"
#include "data/files/files.h"
#include "inspect/hook_names.h"
#include "inspect/report.h"
#include "sample/past_block.h"
#include "sample/start.h"
#include "train/optimizer/adamw.h"

namespace folio {
namespace {

struct InspectOptions {
  std::string init_from = "resume";
  std::string out_dir = "out";
  std::string checkpoint = "best";
  std::string tokenizer = "";
  std::string dataset = "";
  std::string data_dir = "";
  std::string start = "";
  int64_t max_tokens = 256;
  std::string compare = "";
  int64_t window = 0;
  std::string live = "auto";
  std::string o = "report.html";
  std::string json = "";
  std::string npz = "";
  std::string device = "cpu";
  int64_t threads = 0;
};

std::vector<Option> option_rows(InspectOptions& o) {
  return in_groups({
      {"model",
       model_rows(
           &o.init_from, &o.out_dir, &o.checkpoint,
           tokenizer_rows(
               &o.tokenizer, &o.dataset, &o.data_dir,
               {window_option(&o.window),
                path_option(
                    "compare", &o.compare,
                    "a second model with the same tokens, shown beside the first: the folder "
                    "of a run, or what init_from can name")}))},
      {"text",
       {path_option("start", &o.start, "the text that the model reads, or FILE:PATH of it",
                    "FILE:"),
        {"max_tokens", &o.max_tokens,
         "of a longer text, or one beyond block_size, the last so many tokens are shown",
         at_least(2)}}},
      {"output",
       {path_option("o", &o.o, "the page to write, also as -o FILE; empty: none"),
        path_option("json", &o.json, "also write the numbers as JSON, see docs/inspect-json.md"),
        path_option("npz", &o.npz,
                    "also write every tensor as NumPy's .npz, under TransformerLens' hook names"),
        {"live", &o.live,
         "on: the page carries the weights, so that one can type another text, switch parts off "
         "and sample, which needs a character tokenizer; off: it does not; auto: for character "
         "models of up to 4 million parameters",
         one_of({"auto", "on", "off"})}}},
      {"speed and memory",
       {{"device", &o.device, "device to compute on", a_device()},
        {"threads", &o.threads, "CPU threads; 0: one per core", at_least(0)}}},
  });
}

// -o FILE and -oFILE, as compilers have it, are --o.
std::vector<std::string> with_long_o(int argc, char** argv) {
  std::vector<std::string> args(argv + 1, argv + argc);
  for (std::string& arg : args)
    if (arg == "-o")
      arg = "--o";
    else if (arg.starts_with("-o") && arg.size() > 2)
      arg = "--o=" + arg.substr(arg[2] == '=' ? 3 : 2);
  return args;
}

std::vector<int32_t> tokens_of(const InspectOptions& options, const OpenedModel& opened) {
  check(!options.start.empty(), "inspect: give the text to read with --start=TEXT or FILE:PATH");
  std::vector<int32_t> tokens = start_of(options.start, *opened.tokenizer).tokens;
  const int64_t most = std::min(options.max_tokens, opened.model->config().block_size);
  if (std::ssize(tokens) > most) {
    note("the text has {} tokens: the last {} of them are shown\n", tokens.size(), most);
    tokens.erase(tokens.begin(), tokens.end() - most);
  }
  return tokens;
}

double saved_number(const OpenedModel& opened, const std::string& key, double otherwise) {
  auto saved = opened.attributes.find("option/" + key);
  if (saved == opened.attributes.end()) return otherwise;
  const auto* number = std::get_if<double>(&saved->second);
  return number ? *number : otherwise;
}

// AdamW's moments as the run's checkpoint has them, for every parameter, or none.
bool take_moments(const OpenedModel& opened, AdamW& adamw) {
  if (opened.attributes.empty() || !opened.attributes.contains("adamw/steps")) return false;
  const CheckpointFile file = load(opened.source);
  for (auto& [name, moment] : adamw.state)
    if (!file.tensors.contains(name) || file.tensors.at(name).shape() != moment.shape())
      return false;
  for (auto& [name, moment] : adamw.state)
    moment = to(file.tensors.at(name), opened.model->context().device);
  adamw.steps = file.attribute<int64_t>("adamw/steps");
  return true;
}

// With the run's options and moments where it has them.
RealStep adamw_step(const OpenedModel& opened) {
  const double rate = saved_number(opened, "learning_rate", 6e-4);
  const AdamWOptions betas{saved_number(opened, "beta1", 0.9), saved_number(opened, "beta2", 0.95)};
  auto adamw = std::make_shared<AdamW>(*opened.model, betas);
  const bool has_moments = take_moments(opened, *adamw);
  const double decay = saved_number(opened, "weight_decay", 0.1);
  return {
      [adamw, rate, decay] { adamw->step({.learning_rate = rate, .weight_decay = decay}); },
      fmt::format("one step of AdamW at learning rate {}, {}", rate,
                  has_moments ? fmt::format("with the run's moments after {} steps", adamw->steps)
                              : "the first, without moments from before")};
}

bool is_live(const InspectOptions& options, const OpenedModel& opened) {
  if (options.live == "off") return false;
  const bool can = can_be_live(*opened.tokenizer);
  check(can || options.live != "on",
        "--live=on: the page reads texts character by character, and this model's tokens are not "
        "characters; leave it out");
  return can && (options.live == "on" || opened.model->num_params(false) <= most_live_parameters);
}

std::optional<Comparison> compared(const InspectOptions& options, const OpenedModel& opened,
                                   const Inspection& inspection) {
  if (options.compare.empty()) return {};
  OpenedModel other = open_model(options.compare, options.compare, device_named(options.device),
                                 Purpose::any, checkpoint_named(options.checkpoint));
  find_tokenizer_of(other, {options.tokenizer, options.dataset, options.data_dir});
  say("compared with {}\n", other.described());
  return compare(inspection, *opened.model, *other.model, *other.tokenizer, other.described());
}

// What the run of a folio checkpoint kept at its evaluations; nothing of any other model.
std::vector<InsideState> states_of_run(const OpenedModel& opened) {
  if (opened.attributes.empty()) return {};
  return load_inside(std::filesystem::path(opened.source).parent_path() / InsideLog::name);
}

void write(const InspectOptions& options, const Inspection& inspection, const OpenedModel& opened) {
  const Besides besides{.comparison = compared(options, opened, inspection),
                        .over_training = states_of_run(opened)};
  auto wrote = [](const std::string& path, size_t bytes) {
    say("wrote {} ({})\n", path, in_megabytes(double(bytes)));
  };
  if (!options.o.empty()) {
    const GptConfig& config = opened.model->config();
    const Page page =
        report_page(inspection, *opened.model,
                    {.live = is_live(options, opened),
                     .past_block = std::string(name_of(past_block_named("auto", config)))},
                    besides);
    const std::string html = to_html(page);
    write_file(options.o, html);
    wrote(options.o, html.size());
  }
  if (!options.json.empty()) {
    const std::string json = script_json(to_json(inspection, besides)) + "\n";
    write_file(options.json, json);
    wrote(options.json, json.size());
  }
  if (!options.npz.empty()) {
    write_hooks(options.npz, inspection.config, inspection.captures);
    wrote(options.npz, std::filesystem::file_size(options.npz));
  }
}

}  // namespace

// folio inspect [--out_dir=DIR | --init_from=MODEL] --start=TEXT [-o FILE.html]
int inspect_command(int argc, char** argv) {
  InspectOptions options;
  OptionTable table(option_rows(options));
  table.parse("folio inspect [--out_dir=DIR | --init_from=MODEL] --start=TEXT [-o FILE.html]",
              with_long_o(argc, argv));
  set_parallel_threads(int(options.threads));
  set_stop_answer("stopping; nothing is written");
  Interruptible scope;
  OpenedModel opened = open_model(options.init_from, options.out_dir, device_named(options.device),
                                  Purpose::any, checkpoint_named(options.checkpoint));
  const std::string taken =
      find_tokenizer_of(opened, {options.tokenizer, options.dataset, options.data_dir});
  if (!taken.empty()) note("{}: {}\n", opened.source, taken);
  give_window(opened, options.window);
  say("{}\n", opened.described());
  const std::vector<int32_t> tokens = tokens_of(options, opened);
  const Inspection inspection =
      inspect(*opened.model, opened.tokenizer, opened.described(), tokens, adamw_step(opened));
  write(options, inspection, opened);
  return 0;
}

}  // namespace folio
