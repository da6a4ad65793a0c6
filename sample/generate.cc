#include "sample/generate.h"

#include <algorithm>
#include <chrono>

#include "core/process/stop.h"
#include "sample/decoder.h"

namespace folio {
namespace {

using Clock = std::chrono::steady_clock;
using Tokens = std::vector<int32_t>;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Generation {
 public:
  Generation(Gpt& model, std::span<const Tokens> prompts, const GenerateOptions& options,
             const Listener& listener)
      : prompts_(prompts),
        options_(options),
        listener_(listener),
        decoder_(model, {.window = {model.config().block_size, options.past_block, options.keep},
                         .batch_size = std::min(options.batch_size, int64_t(prompts.size())),
                         .max_length = longest(prompts) - 1 +
                                       std::min(options.max_new_tokens, int64_t{1} << 62),
                         .kv_cache = options.kv_cache,
                         .tokens = options.tokens,
                         .kv_cache_dtype = options.kv_cache_dtype,
                         .record = options.record}) {
    for (size_t i = 0; i < prompts.size(); ++i) check_prompt(i, model.config().block_size);
    if (options.past_block == PastBlock::stop) limit_ = model.config().block_size;
    result_.samples.resize(prompts.size());
    result_.cache_bytes = decoder_.cache_bytes();
  }

  Generated run() {
    Clock::time_point start = Clock::now();
    Interruptible scope;
    while (admit(), !running_.empty()) {
      throw_if_stopped();
      decoder_.step();
      if (result_.new_tokens == 0) {
        result_.prompt_seconds = seconds_since(start);
        start = Clock::now();
      }
      // From the last: a sample that leaves is replaced by one that has been seen.
      if (asks_tokens_) {
        const std::vector<int32_t> tokens = decoder_.draw(options_.sampler, draws());
        for (int64_t row = decoder_.size() - 1; row >= 0; --row) go_on(row, tokens[size_t(row)]);
      } else {
        decoder_.draw_ahead(options_.sampler, draws());
        for (int64_t row = decoder_.size() - 1; row >= 0; --row) count_drawn(row);
      }
    }
    result_.seconds = seconds_since(start);
    return std::move(result_);
  }

 private:
  struct Running {
    size_t sample;
    int64_t drawn = 0;
    SeenTokens seen = {};
  };

  static int64_t longest(std::span<const Tokens> prompts) {
    size_t most = 0;
    for (const Tokens& prompt : prompts) most = std::max(most, prompt.size());
    return int64_t(most);
  }

  void check_prompt(size_t i, int64_t block_size) const {
    check(!prompts_[i].empty(), "generate: prompt {} is empty; it needs a token or more", i);
    check(options_.past_block != PastBlock::stop || int64_t(prompts_[i].size()) <= block_size,
          "the prompt's {} tokens exceed the model's block_size {}, and past_block=stop: nothing "
          "can follow; shorten it, or let past_block be auto, block or slide",
          prompts_[i].size(), block_size);
  }

  // Fills the batch with samples that wait.
  void admit() {
    for (; next_ < prompts_.size() && decoder_.size() < options_.batch_size; ++next_) {
      const Tokens& prompt = prompts_[next_];
      if (next_ > 0 && prompt != prompts_[next_ - 1]) prefix_.reset();
      bool shared = next_ + 1 < prompts_.size() && prompt == prompts_[next_ + 1];
      if (shared && !prefix_) {
        prefix_ = decoder_.prefill(prompt);
        result_.prompt_tokens += int64_t(prompt.size());
      }
      if (prefix_) {
        decoder_.add(*prefix_);
      } else {
        decoder_.add(prompt);
        result_.prompt_tokens += int64_t(prompt.size());
      }
      running_.push_back({.sample = next_});
      if (options_.sampler.repetition_penalty != 1) running_.back().seen.add(prompt);
    }
    if (next_ == prompts_.size()) prefix_.reset();
  }

  // Of the next token of each row.
  std::vector<RowDraw> draws() const {
    std::vector<RowDraw> rows;
    for (const Running& running : running_)
      rows.push_back({.stream = {options_.seed, running.sample},
                      .number = uint64_t(running.drawn),
                      .seen = running.seen.distinct()});
    return rows;
  }

  // The sample in `row` with the token that was drawn for it.
  void go_on(int64_t row, int32_t token) {
    Running& running = running_[size_t(row)];
    if (std::ranges::count(options_.end_tokens, token) > 0) {
      ++result_.new_tokens;
      return end(row, Ending::end_token);
    }
    decoder_.append(row, std::span(&token, 1));
    if (options_.sampler.repetition_penalty != 1) running.seen.add(std::span(&token, 1));
    bool goes_on = !listener_.drawn ||
                   listener_.drawn({running.sample, token, [&] { return decoder_.logits(row); }});
    count_drawn(row, goes_on);
  }

  // The sample in `row` has one more token.
  void count_drawn(int64_t row, bool goes_on = true) {
    ++result_.new_tokens;
    const int64_t drawn = ++running_[size_t(row)].drawn;
    if (!goes_on) return end(row, Ending::caller);
    if (drawn == options_.max_new_tokens) return end(row, Ending::max_new_tokens);
    if (limit_ && decoder_.length(row) > *limit_) return end(row, Ending::block_size);
  }

  void end(int64_t row, Ending ending) {
    size_t sample = running_[size_t(row)].sample;
    result_.samples[sample] = {decoder_.tokens(row), ending};
    decoder_.remove(row);
    std::swap(running_[size_t(row)], running_.back());
    running_.pop_back();
    if (listener_.ended) listener_.ended(sample, ending);
  }

  std::span<const Tokens> prompts_;
  const GenerateOptions& options_;
  const Listener& listener_;
  Decoder decoder_;
  // Whether the next step depends on which token was drawn, or someone waits for it.
  const bool asks_tokens_ =
      listener_.drawn || !options_.end_tokens.empty() || options_.sampler.repetition_penalty != 1;
  std::optional<int64_t> limit_;  // tokens that a sample must not exceed by more than one
  std::optional<Decoder::Prefix> prefix_;
  std::vector<Running> running_;  // by row
  size_t next_ = 0;               // prompt to admit
  Generated result_;
};

}  // namespace

Generated generate(Gpt& model, std::span<const Tokens> prompts, const GenerateOptions& options,
                   const Listener& listener) {
  check(!prompts.empty() && options.batch_size > 0 && options.max_new_tokens > 0,
        "generate: needs a prompt, a batch_size and max_new_tokens of 1 or more");
  return Generation(model, prompts, options, listener).run();
}

}  // namespace folio
