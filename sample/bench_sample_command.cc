#include "sample/bench_sample_command.h"

#include <algorithm>
#include <chrono>

#include "checkpoint/model_file.h"
#include "configs/train_options.h"
#include "core/machine.h"
#include "sample/generate.h"

namespace folio {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchOptions {
  int64_t num_samples = 1;
  int64_t max_new_tokens = 0;
  int64_t iters = 5;
  bool kv_cache = true;
  bool json = false;
};

std::vector<Option> rows(TrainOptions& model, BenchOptions& bench) {
  std::vector<Option> all = option_rows(model);
  all.push_back({"num_samples", &bench.num_samples, "sequences decoded together", at_least(1)});
  all.push_back({"max_new_tokens", &bench.max_new_tokens,
                 "tokens to decode a run; 0: as many as fit block_size", at_least(0)});
  all.push_back({"kv_cache", &bench.kv_cache, "on: over the cache; off: nanoGPT's way"});
  all.push_back({"iters", &bench.iters, "runs to time, after one to warm up", at_least(1)});
  all.push_back({"json", &bench.json, "print one JSON object"});
  return all;
}

// Seconds that decoding `tokens` tokens takes, each from a random continuation of one token.
double decode(Gpt& model, const BenchOptions& bench, int64_t tokens) {
  std::vector<std::vector<int32_t>> prompts(size_t(bench.num_samples), {0});
  Clock::time_point start = Clock::now();
  generate(model, prompts,
           {.max_new_tokens = tokens, .sampler = {.temperature = 1}, .kv_cache = bench.kv_cache});
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

// folio bench sample CONFIG [--key=value ...]: random weights of the config's shape, 65 characters.
int bench_sample_command(int argc, char** argv) {
  TrainOptions options;
  BenchOptions bench;
  OptionTable table(rows(options, bench));
  std::vector<std::string> args(argv + 1, argv + argc);
  table.parse("folio bench sample [CONFIG.toml] [--key=value ...]", args);
  check_together(options, table.given());
  backend(device_named(options.device)).set_threads(int(options.threads));

  Gpt model({.block_size = options.block_size,
             .vocab_size = 65,
             .n_layer = options.n_layer,
             .n_head = options.n_head,
             .n_embd = options.n_embd,
             .bias = options.bias},
            uint64_t(options.seed));
  model.context().dtype = dtype_named(options.dtype);
  model.pack();
  int64_t tokens = bench.max_new_tokens > 0 ? bench.max_new_tokens : options.block_size - 1;
  decode(model, bench, std::min<int64_t>(tokens, 16));
  std::vector<double> seconds;
  for (int64_t i = 0; i < bench.iters; ++i) seconds.push_back(decode(model, bench, tokens));
  std::ranges::sort(seconds);
  size_t rss = peak_rss_bytes();
  MachinePeak peak = measure_peak();

  auto drawn = double(tokens * bench.num_samples);
  double median = seconds[seconds.size() / 2];
  double weights = double(model.num_params()) * 4;  // bytes read for one step
  double bandwidth = weights * double(tokens) / median;
  double flops = 2 * double(model.num_params()) * drawn / median;
  if (bench.json) {
    fmt::print(
        "{{\"tokens_per_second\": {:.1f}, \"max_tokens_per_second\": {:.1f}, \"median_ms\": "
        "{:.3f}, \"min_ms\": {:.3f}, \"num_samples\": {}, \"max_new_tokens\": {}, \"kv_cache\": "
        "{}, \"share_of_bandwidth\": {:.4f}, \"read_bandwidth_gb\": {:.1f}, \"peak_rss_bytes\": "
        "{}}}\n",
        drawn / median, drawn / seconds.front(), median * 1e3, seconds.front() * 1e3,
        bench.num_samples, tokens, bench.kv_cache, bandwidth / peak.read_bandwidth,
        peak.read_bandwidth / 1e9, rss);
    return 0;
  }
  fmt::print("machine    {}\n", cpu_model());
  fmt::print("decoding   {} x {} tokens, cache {}\n", bench.num_samples, tokens,
             bench.kv_cache ? "on" : "off");
  fmt::print("tokens     {:.0f} a second (median of {}), {:.0f} at best\n", drawn / median,
             bench.iters, drawn / seconds.front());
  fmt::print("step       {:.3f} ms\n", median * 1e3 / double(tokens));
  if (bench.kv_cache) {
    fmt::print(
        "weights    {:.1f} MB read a step, {:.1f} GB/s: {:.0f} % of the {:.1f} GB/s that "
        "memory gives\n",
        weights / 1e6, bandwidth / 1e9, 100 * bandwidth / peak.read_bandwidth,
        peak.read_bandwidth / 1e9);
    fmt::print("products   {:.1f} GFLOP/s: {:.1f} % of the {:.0f} GFLOP/s peak\n", flops / 1e9,
               100 * flops / peak.f32_flops, peak.f32_flops / 1e9);
  }
  fmt::print("memory     {:.0f} MB at the most\n", double(rss) / 1e6);
  return 0;
}

}  // namespace folio
