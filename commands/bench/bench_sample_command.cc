#include "commands/bench/bench_sample_command.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "checkpoint/open_model.h"
#include "commands/bench/sampling_report.h"
#include "commands/give_window.h"
#include "configs/model_rows.h"
#include "configs/train_options.h"
#include "core/parallel.h"
#include "core/process/output.h"
#include "core/process/stop.h"

namespace folio {
namespace {

struct BenchOptions {
  std::string checkpoint = "best";
  std::vector<std::string> weights = {};
  std::vector<std::string> kv_cache_dtype = {};
  std::vector<std::string> num_samples = {"1", "10"};
  int64_t vocab_size = 65;
  int64_t prompt_tokens = 0;
  int64_t max_new_tokens = 0;
  int64_t uncached_tokens = 4;
  std::string past_block = "auto";
  int64_t window = 0;
  int64_t iters = 3;
  bool experiment = false;
  bool json = false;
};

std::vector<Option> rows(TrainOptions& model, BenchOptions& bench) {
  const std::string used[] = {"init_from", "out_dir", "model",  "seed",
                              "device",    "dtype",   "threads"};
  std::vector<Option> all = for_use(option_rows(model), used);
  for (Option& row : all) {
    if (row.name == "dropout") row.unused = true;
    if (row.group != "speed and memory") row.group = "model";
    if (row.name == "init_from")
      row.help =
          "scratch: random weights of the shape given here; gpt2, gpt2-medium, ...: random weights "
          "of its shape; resume: the checkpoint in out_dir; or the path of a model";
  }
  auto out_dir = std::ranges::find(all, "out_dir", &Option::name);
  all.insert(out_dir + 1, checkpoint_option(&bench.checkpoint))->group = "model";
  for (Option row : std::initializer_list<Option>{
           {"weights", &bench.weights,
            "float32, bfloat16, int8 or int4; may be repeated; none given: all, or the file's"},
           {"kv_cache_dtype", &bench.kv_cache_dtype,
            "float32, bfloat16 or int8; may be repeated; none given: as dtype",
            one_of({"float32", "bfloat16", "int8"})},
           {"num_samples", &bench.num_samples, "samples decoded together; may be repeated"},
           {"vocab_size", &bench.vocab_size, "vocabulary size of a model of random weights",
            at_least(1)},
           {"prompt_tokens", &bench.prompt_tokens,
            "tokens per prompt; 0: half of block_size, up to 512", at_least(0)},
           {"max_new_tokens", &bench.max_new_tokens,
            "tokens per sample, which may exceed block_size; 0: what is left of it, up to 128",
            at_least(0)},
           {"uncached_tokens", &bench.uncached_tokens,
            "tokens per sample without the KV cache; 0: none", at_least(0)},
           {"past_block", &bench.past_block,
            "what happens past block_size: window, block or slide; auto: window where the model "
            "can, else block",
            one_of({"auto", "window", "block", "slide"})},
           window_option(&bench.window),
           {"iters", &bench.iters, "runs to time, after a warm-up", at_least(1)},
           {"experiment", &bench.experiment,
            "instead: 10 samples of 1,000 tokens, and 500 tokens alone, with the cache and "
            "without"},
           {"json", &bench.json, "print one JSON object"}}) {
    row.group = "measurement";
    all.push_back(std::move(row));
  }
  return all;
}

std::vector<int64_t> counts(const std::vector<std::string>& texts) {
  std::vector<int64_t> all;
  for (const std::string& text : texts) {
    int64_t count = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    check(error == std::errc() && end == text.data() + text.size() && count > 0,
          "num_samples: must be a count of 1 or more, got \"{}\"", text);
    all.push_back(count);
  }
  return all;
}

// GPT-2's sizes, of which random weights serve as well as the true ones.
GptConfig gpt2_shape(int64_t n_layer, int64_t n_head, int64_t n_embd) {
  return {.block_size = 1024,
          .vocab_size = 50257,
          .n_layer = n_layer,
          .n_head = n_head,
          .n_embd = n_embd,
          .bias = true,
          .activation = gelu_tanh_op};
}

// init_from: scratch: CONFIG's shape; gpt2, ...: theirs; else the model at that path.
OpenedModel model_to_time(const TrainOptions& options, const BenchOptions& bench) {
  GptConfig own = options.model;
  own.vocab_size = bench.vocab_size;
  own.dropout = 0;  // sampling has none
  const std::map<std::string, GptConfig> shapes{{"scratch", own},
                                                {"gpt2", gpt2_shape(12, 12, 768)},
                                                {"gpt2-medium", gpt2_shape(24, 16, 1024)},
                                                {"gpt2-large", gpt2_shape(36, 20, 1280)},
                                                {"gpt2-xl", gpt2_shape(48, 25, 1600)}};
  const Device device = device_named(options.device);
  auto shape = shapes.find(options.init_from);
  if (shape == shapes.end())
    return open_model(options.init_from, options.out_dir, device, Purpose::inference,
                      checkpoint_named(bench.checkpoint));
  return {.model = std::make_unique<Gpt>(shape->second, device, uint64_t(options.seed)),
          .weights = {},
          .tokenizer = nullptr,
          .source = "random weights",
          .attributes = {}};
}

void add_cached(Workload workload, const std::vector<DType>& caches, std::vector<Workload>& to) {
  for (DType dtype : caches) {
    workload.kv_cache_dtype = dtype;
    to.push_back(workload);
  }
}

// Each batch with each cache, and without for as many tokens as one has the patience for.
std::vector<Workload> table_of(const BenchOptions& bench, const std::vector<DType>& caches,
                               const GptConfig& model) {
  const int64_t block_size = model.block_size;
  int64_t prompt = bench.prompt_tokens, fresh = bench.max_new_tokens;
  if (prompt == 0) prompt = std::clamp<int64_t>(block_size / 2, 1, 512);
  if (fresh == 0) fresh = std::clamp<int64_t>(block_size - prompt, 2, 128);
  std::vector<Workload> workloads;
  for (int64_t batch : counts(bench.num_samples)) {
    Workload cached{.batch = batch,
                    .prompt_tokens = prompt,
                    .new_tokens = fresh,
                    .kv_cache_dtype = caches.back(),
                    .past_block = past_block_named(bench.past_block, model)};
    add_cached(cached, caches, workloads);
    Workload uncached = cached;
    uncached.kv_cache = false;
    uncached.new_tokens = std::min(fresh, bench.uncached_tokens + 1);
    if (bench.uncached_tokens > 0) workloads.push_back(uncached);
  }
  return workloads;
}

// The experiment of the program that folio started from: with its cache a text could not outgrow
// block_size; without, it saw nanoGPT's windows, which slide.
std::vector<Workload> experiment(const BenchOptions& bench, const std::vector<DType>& caches,
                                 const GptConfig& model) {
  std::vector<Workload> workloads;
  for (auto [batch, tokens] : {std::pair<int64_t, int64_t>{10, 1000}, {1, 500}}) {
    Workload w{.batch = batch,
               .prompt_tokens = 1,
               .new_tokens = tokens,
               .kv_cache_dtype = caches.back(),
               .past_block = past_block_named(bench.past_block, model)};
    add_cached(w, caches, workloads);
    w.kv_cache = false;
    w.past_block = PastBlock::slide;
    workloads.push_back(w);
  }
  return workloads;
}

std::vector<BenchRow> measure_all(OpenedModel& opened, const BenchOptions& bench) {
  Gpt& model = *opened.model;
  std::vector<DType> caches;
  for (const std::string& name : bench.kv_cache_dtype) caches.push_back(dtype_named(name));
  if (caches.empty()) caches = {model.context().dtype};
  std::vector<Workload> workloads = bench.experiment ? experiment(bench, caches, model.config())
                                                     : table_of(bench, caches, model.config());
  std::vector<std::string> names = bench.weights;
  if (names.empty() && opened.weights) names = {std::string(name_of(*opened.weights))};
  if (names.empty()) names = {"float32", "bfloat16", "int8", "int4"};
  std::vector<Tensor> dense;  // which packing gives back, and the next format needs
  model.weights([&](const std::string&, Weight& weight) { dense.push_back(weight.dense); });
  std::vector<BenchRow> rows;
  for (const std::string& name : names) {
    size_t i = 0;
    model.weights([&](const std::string&, Weight& weight) { weight.dense = dense[i++]; });
    pack(opened, weight_format_named(name));
    for (const Workload& workload : workloads) {
      int64_t runs = bench.experiment ? 1 : bench.iters;
      rows.push_back({name, workload, measure(model, workload, runs)});
    }
  }
  return rows;
}

// The first row stands at the top as well, for a script that asks for one.
void print_json(const std::vector<BenchRow>& rows, const BenchOptions& bench, Gpt& model,
                const MachinePeak& peak) {
  const GptConfig& c = model.config();
  nlohmann::ordered_json json{
      {"machine", backend(model.context().device)->machine.name()},
      {"threads", parallel_threads()},
      {"peak_gflops",
       {{"float32", peak.f32.flops / 1e9},
        {"bfloat16", peak.bf16.flops / 1e9},
        {"int8", peak.int8.flops / 1e9}}},
      {"peak_unit",
       {{"float32", peak.f32.unit}, {"bfloat16", peak.bf16.unit}, {"int8", peak.int8.unit}}},
      {"read_bandwidth_gb", peak.read_bandwidth / 1e9},
      {"median_ms", 1e3 * rows[0].timing.step_seconds},
      {"min_ms", 1e3 * rows[0].timing.min_step_seconds}};
  each_field(c, [&](const char* name, const auto& field, auto) {
    if constexpr (std::is_same_v<decltype(field), const Activation&>)
      json[name] = field.name();
    else
      json[name] = field;
  });
  json["window_is_approximate"] = bench.window > 0;
  json["rows"] = nlohmann::ordered_json::array();
  for (const BenchRow& row : rows) json["rows"].push_back(to_json(row, peak, c.block_size));
  for (const char* key : {"tokens_per_second", "share_of_peak", "peak_rss_bytes"})
    json[key] = json["rows"][0][key];
  say("{}\n", json.dump());
}

void print_text(const std::vector<BenchRow>& rows, Gpt& model, const MachinePeak& peak) {
  say("machine  {}\n", backend(model.context().device)->machine.name());
  const std::pair<const char*, const UnitPeak&> units[] = {
      {"float32", peak.f32}, {"bfloat16", peak.bf16}, {"int8", peak.int8}};
  for (const char* label = "peak"; const auto& [name, unit] : units)
    say("{:8} {:.0f} GFLOP/s {} ({})\n", std::exchange(label, ""), unit.flops / 1e9, name,
        unit.unit);
  say("         {:.1f} GB/s read\n", peak.read_bandwidth / 1e9);
  say("model    {:.2f}M parameters, block_size {}\n", double(model.num_params()) / 1e6,
      model.config().block_size);
  const PastBlock past_block = rows[0].workload.past_block;
  say("work     {} tokens of prompt, then {} a sample{}\n\n", rows[0].workload.prompt_tokens,
      rows[0].workload.new_tokens,
      past_block == PastBlock::block ? "" : fmt::format("; past_block={}", name_of(past_block)));
  print_table(rows, peak);
  for (size_t i = 0; i + 1 < rows.size(); ++i)
    if (rows[i].workload.kv_cache && !rows[i + 1].workload.kv_cache) {
      explain_gain(rows[i], rows[i + 1], peak);
      explain_waits(rows[i], rows[i + 1]);
    }
  for (const BenchRow& row : rows)
    if (row.timing.windows.size() > 2) print_windows(row, model.config().block_size);
}

}  // namespace

// folio bench sample [CONFIG] [--init_from=gpt2] [--key=value ...]
int bench_sample_command(int argc, char** argv) {
  TrainOptions options;
  BenchOptions bench;
  OptionTable table(rows(options, bench));
  std::vector<std::string> args(argv + 1, argv + argc);
  table.parse("folio bench sample [CONFIG] [--init_from=gpt2] [--key=value ...]", args);
  check_together(options, table.given());
  set_parallel_threads(int(options.threads));

  set_stop_answer("the bench ends without a result");
  Interruptible scope;
  OpenedModel opened = model_to_time(options, bench);
  give_window(opened, bench.window);
  opened.model->context().dtype = dtype_named(options.dtype);
  std::vector<BenchRow> rows = measure_all(opened, bench);
  MachinePeak peak = backend(opened.model->context().device)->machine.measure_peak();
  peak.read_bandwidth = backend(opened.model->context().device)->machine.measure_read_bandwidth();
  bench.json ? print_json(rows, bench, *opened.model, peak) : print_text(rows, *opened.model, peak);
  return 0;
}

}  // namespace folio
