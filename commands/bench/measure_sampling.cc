#include "commands/bench/measure_sampling.h"

#include <algorithm>
#include <chrono>

#include "core/backend.h"
#include "core/machine.h"
#include "sample/decoder.h"

namespace folio {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<int32_t> random_tokens(int64_t count, int64_t vocab_size) {
  RandomStream stream{.seed = 65, .stream = 0};
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < count; ++i)
    tokens.push_back(int32_t(stream.block(uint64_t(i))[0] % uint64_t(vocab_size)));
  return tokens;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// The positions that each of the first `tokens` of a text sees, itself included, added up.
double seen_by_first(const Heads& heads, int64_t tokens) {
  const int64_t growing = heads.window > 0 ? std::min(tokens, heads.window) : tokens;
  return double(growing) * double(growing + 1) / 2 + double(tokens - growing) * double(growing);
}

// Multiply-adds, counted as two, of reading the last `fresh` tokens of a window of `tokens`: all
// matrices of the blocks, scores and sums over the keys that each token sees, and the head for the
// last row. What last_only spares in the last block counts as done.
double reading_flops(const GptConfig& c, int64_t fresh, int64_t tokens) {
  const double C = double(c.n_embd), layers = double(c.n_layer);
  const Heads heads = c.heads();
  const double attention = double(heads.columns() + heads.channels()) * C;
  const double mlp = (c.activation.is_gated ? 3 : 2) * double(c.hidden()) * C;
  const double blocks = layers * (attention + mlp), head = double(c.vocab_size) * C;
  const double seen = seen_by_first(heads, tokens) - seen_by_first(heads, tokens - fresh);
  return 2 * (double(fresh) * blocks + 2 * layers * double(heads.channels()) * seen + head);
}

// What a step does for one sample, on the average over the workload's steps.
struct Step {
  double seen = 0;  // positions that its last token sees
  double flops = 0;
};

Step mean_step(const GptConfig& config, const Workload& w) {
  const ContextWindow window(config.block_size, w.past_block);
  const int64_t steps = std::max<int64_t>(1, w.new_tokens - 1);
  Step mean;
  for (int64_t i = 1; i <= steps; ++i) {
    const int64_t length = w.prompt_tokens + i, start = window.start(length);
    const bool goes_on = w.kv_cache && start == window.start(length - 1);
    const int64_t tokens = length - start;
    mean.seen += double(tokens - config.heads().first_seen(tokens - 1)) / double(steps);
    mean.flops += reading_flops(config, goes_on ? 1 : tokens, tokens) / double(steps);
  }
  return mean;
}

double packed_bytes(Gpt& model) {
  size_t bytes = 0;
  model.weights([&](const std::string&, Weight& weight) { bytes += weight.packed.data.bytes(); });
  return double(bytes);
}

// The most that Arrays have held since their peak was forgotten, and all else that is held now. The
// kernel's own high-water mark would be that of the rows before.
size_t peak_bytes(Device device) {
  MemoryUse arrays = backend(device)->memory.use();
  size_t held = rss_bytes();
  return arrays.peak + (held > arrays.reserved ? held - arrays.reserved : 0);
}

void count_work(Gpt& model, const Workload& w, Timing& timing) {
  const GptConfig& c = model.config();
  const Step step = mean_step(c, w);
  const ContextWindow window(c.block_size, w.past_block);
  const int64_t prompt = w.prompt_tokens - window.start(w.prompt_tokens);
  timing.bytes_a_step = packed_bytes(model);
  timing.flops_a_step = double(w.batch) * step.flops;
  timing.flops_a_prompt = reading_flops(c, prompt, prompt);
  if (!w.kv_cache) return;
  const KvCache one = model.make_cache(1, c.block_size, w.kv_cache_dtype);
  const double position = double(one.bytes()) / double(one.layers[0].capacity);
  timing.bytes_a_step += double(w.batch) * step.seen * position;
}

// One run, and when each of its steps had drawn a token of every sample.
struct Run {
  Generated generated;
  std::vector<Clock::time_point> steps;
};

Run run(Gpt& model, std::span<const std::vector<int32_t>> prompts, const GenerateOptions& options) {
  Run run;
  size_t drawn = 0;
  auto note_step = [&](const Draw&) {
    if (++drawn % prompts.size() == 0) run.steps.push_back(Clock::now());
    return true;
  };
  run.generated = generate(model, prompts, options, {.drawn = note_step, .ended = {}});
  return run;
}

// Step i > 0 gives token prompt_tokens + i; the median over the runs of each window's mean.
std::vector<WindowTiming> windows_of(const std::vector<Run>& runs, int64_t prompt_tokens,
                                     int64_t block_size) {
  std::vector<WindowTiming> windows;
  const auto steps = int64_t(runs[0].steps.size());
  for (int64_t first = 1; first < steps;) {
    const int64_t index = (prompt_tokens + first) / block_size;
    const int64_t past = std::min(steps, (index + 1) * block_size - prompt_tokens);
    std::vector<double> seconds;
    for (const Run& run : runs)
      seconds.push_back(
          std::chrono::duration<double>(run.steps[size_t(past - 1)] - run.steps[size_t(first - 1)])
              .count());
    windows.push_back({index, past - first, median(seconds) / double(past - first)});
    first = past;
  }
  return windows;
}

double step_seconds_of(const Generated& generated, int64_t new_tokens) {
  return generated.seconds / double(std::max<int64_t>(1, new_tokens - 1));
}

// What the device takes for the operations of a step in the middle of the workload, all of which
// are queued before it comes to them.
double device_seconds_of_step(Gpt& model, const Workload& w, const GenerateOptions& options) {
  const int64_t middle = w.prompt_tokens + w.new_tokens / 2;
  const int64_t length = std::max<int64_t>(1, std::min(middle, model.config().block_size - 3));
  const std::vector<int32_t> prompt = random_tokens(length, model.config().vocab_size);
  Decoder decoder(model, {.window = {model.config().block_size, options.past_block, options.keep},
                          .batch_size = options.batch_size,
                          .max_length = std::ssize(prompt) + 3,
                          .kv_cache = options.kv_cache,
                          .kv_cache_dtype = options.kv_cache_dtype});
  const Decoder::Prefix prefix = decoder.prefill(prompt);
  for (int64_t row = 0; row < options.batch_size; ++row) decoder.add(prefix);
  std::vector<RowDraw> draws(size_t(options.batch_size), {.stream = {options.seed, 0}});
  auto step = [&] {
    decoder.step();
    decoder.draw_ahead(options.sampler, draws);
  };
  step();
  step();  // the first that reads what was drawn, for the memory that it takes
  Machine& machine = backend(model.context().device)->machine;
  machine.marks();  // of nobody any more
  machine.mark();
  step();
  machine.mark();
  return machine.marks().at(1);
}

}  // namespace

double price_growth(const Timing& timing, int64_t block_size) {
  std::vector<double> prices;
  for (const WindowTiming& window : timing.windows)
    if (window.index > 0 && window.steps == block_size) prices.push_back(window.step_seconds);
  if (prices.empty()) return 1;
  return std::ranges::max(prices) / std::ranges::min(prices);
}

Timing measure(Gpt& model, const Workload& w, int64_t runs) {
  std::vector<std::vector<int32_t>> prompts(
      size_t(w.batch), random_tokens(w.prompt_tokens, model.config().vocab_size));
  GenerateOptions options{.max_new_tokens = w.new_tokens,
                          .kv_cache = w.kv_cache,
                          .past_block = w.past_block,
                          .batch_size = w.batch,
                          .kv_cache_dtype = w.kv_cache_dtype};
  GenerateOptions warm_up = options;
  warm_up.max_new_tokens = std::min<int64_t>(options.max_new_tokens, 3);
  generate(model, prompts, warm_up);

  backend(model.context().device)->memory.forget_peak();
  std::vector<Run> all;
  std::vector<double> prompt_seconds, step_seconds;
  for (int64_t i = 0; i < runs; ++i) {
    const Generated& generated = all.emplace_back(run(model, prompts, options)).generated;
    prompt_seconds.push_back(generated.prompt_seconds);
    step_seconds.push_back(step_seconds_of(generated, w.new_tokens));
  }
  Timing timing{.prompt_seconds = median(prompt_seconds),
                .step_seconds = median(step_seconds),
                .min_step_seconds = std::ranges::min(step_seconds),
                .peak_bytes = peak_bytes(model.context().device),
                .kv_cache_bytes = all[0].generated.cache_bytes,
                .windows = windows_of(all, w.prompt_tokens, model.config().block_size)};
  count_work(model, w, timing);
  if (model.context().device == cpu) return timing;
  timing.device_seconds = device_seconds_of_step(model, w, options);
  auto median_step = [&](auto&& generated) {
    std::vector<double> seconds;
    for (int64_t i = 0; i < runs; ++i)
      seconds.push_back(step_seconds_of(generated(), w.new_tokens));
    return median(seconds);
  };
  timing.unattended_step_seconds = median_step([&] { return generate(model, prompts, options); });
  options.record = false;
  timing.unrecorded_step_seconds =
      median_step([&] { return run(model, prompts, options).generated; });
  return timing;
}

}  // namespace folio
