#include "commands/bench/measure_sampling.h"

#include <algorithm>
#include <chrono>

#include "core/machine.h"

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

// Of the matrices alone, for one token; the head too unless other rows share it.
double matrix_flops(Gpt& model, bool head) {
  const GptConfig& c = model.config();
  double blocks = 12.0 * double(c.n_layer * c.n_embd * c.n_embd);
  return 2 * (blocks + (head ? double(c.vocab_size * c.n_embd) : 0));
}

// Scores and sums of one token over `context` keys and values.
double attention_flops(Gpt& model, double context) {
  const GptConfig& c = model.config();
  return 4 * double(c.n_layer * c.n_embd) * context;
}

// Reading a window of `tokens` and the head for its last row. What last_only spares in the last
// block counts as done.
double window_flops(Gpt& model, double tokens) {
  return tokens * (matrix_flops(model, false) + attention_flops(model, tokens / 2)) +
         matrix_flops(model, true) - matrix_flops(model, false);
}

// Tokens that a step's window holds, on the average over the steps.
double mean_window(const GptConfig& config, const Workload& w) {
  ContextWindow window(config.block_size, w.past_block);
  double sum = 0;
  int64_t steps = std::max<int64_t>(1, w.new_tokens - 1);
  for (int64_t i = 0; i < steps; ++i) {
    int64_t length = w.prompt_tokens + 1 + i;
    sum += double(length - window.start(length));
  }
  return sum / double(steps);
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
  double window = mean_window(c, w);
  timing.bytes_a_step = packed_bytes(model);
  timing.flops_a_prompt = window_flops(model, double(std::min(w.prompt_tokens, c.block_size)));
  if (w.kv_cache) {
    KvCache one = model.make_cache(1, c.block_size, w.kv_cache_dtype);
    timing.bytes_a_step += double(w.batch) * window * double(one.bytes()) / double(c.block_size);
    timing.flops_a_step =
        double(w.batch) * (matrix_flops(model, true) + attention_flops(model, window));
  } else {
    timing.flops_a_step = double(w.batch) * window_flops(model, window);
  }
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
    step_seconds.push_back(generated.seconds / double(std::max<int64_t>(1, w.new_tokens - 1)));
  }
  Timing timing{.prompt_seconds = median(prompt_seconds),
                .step_seconds = median(step_seconds),
                .min_step_seconds = std::ranges::min(step_seconds),
                .peak_bytes = peak_bytes(model.context().device),
                .kv_cache_bytes = all[0].generated.cache_bytes,
                .windows = windows_of(all, w.prompt_tokens, model.config().block_size)};
  count_work(model, w, timing);
  return timing;
}

}  // namespace folio
