#include "sample/decoder.h"

#include <algorithm>
#include <bit>

namespace folio {
namespace {

// Rows that one call of the model reads at most, unless a single window has more: enough for the
// products' full speed, and a bound on the memory that activations take.
constexpr int64_t max_rows_a_call = 2048;
// Draws of which the host does not know the tokens at most.
constexpr int64_t max_draws_ahead = 64;

int64_t capacity_for(int64_t max_length, int64_t block_size) {
  return max_length > 0 ? std::min(max_length, block_size) : block_size;
}

}  // namespace

Decoder::Decoder(Gpt& model, const Options& options)
    : model_(model),
      options_(options),
      cache_(model.make_cache(options.batch_size,
                              capacity_for(options.max_length, options.window.block_size),
                              options.kv_cache_dtype)) {
  check(options.window.block_size <= model.config().block_size,
        "decoder: a window of {} tokens exceeds the model's block_size {}",
        options.window.block_size, model.config().block_size);
  check(options.window.moves || has_endless_stream(model.config()),
        "decoder: past_block=window needs a model whose positions are not learned and that has a "
        "window; this one has position={} and attention_window={}",
        model.config().position, model.config().attention_window);
  if (options_.tokens == 0) options_.tokens = vocab_size();
  check(0 < options_.tokens && options_.tokens <= vocab_size(),
        "decoder: {} tokens, for a model of {}", options_.tokens, vocab_size());
  logits_ = Array({options.batch_size, vocab_size()}, DType::f32, model.context().device);
}

Decoder::Prefix Decoder::prefill(std::vector<int32_t> tokens) {
  Decoder reader(model_, {.window = options_.window,
                          .batch_size = 1,
                          .max_length = int64_t(tokens.size()),
                          .kv_cache = options_.kv_cache,
                          .kv_cache_dtype = options_.kv_cache_dtype});
  reader.add(std::move(tokens));
  reader.step();
  return {std::move(reader.sequences_[0].tokens), std::move(reader.cache_),
          std::move(reader.logits_)};
}

void Decoder::add(std::vector<int32_t> tokens) {
  take_drawn();
  check(size() < options_.batch_size, "decoder: the batch of {} sequences is full",
        options_.batch_size);
  check(!tokens.empty(), "decoder: a sequence needs a token or more to start from");
  cache_.set_length(size(), 0);
  sequences_.push_back({.tokens = std::move(tokens)});
}

void Decoder::add(const Prefix& prefix) {
  add(prefix.tokens);
  int64_t row = size() - 1;
  cache_.copy_row(prefix.cache, 0, row);
  backend(logits_)->layout.copy_block(prefix.logits, 0, logits_, row, 1, 0);
  auto length = int64_t(prefix.tokens.size());
  Sequence& sequence = sequences_.back();
  sequence.start = options_.window.start(length);
  sequence.read = length;
}

void Decoder::append(int64_t row, std::span<const int32_t> tokens) {
  take_drawn();
  std::vector<int32_t>& all = sequences_[size_t(row)].tokens;
  all.insert(all.end(), tokens.begin(), tokens.end());
}

void Decoder::replace(int64_t row, std::vector<int32_t> tokens) {
  take_drawn();
  check(!tokens.empty(), "decoder: a sequence needs a token or more to start from");
  Sequence& sequence = sequences_[size_t(row)];
  if (sequence.tokens == tokens) return;
  const auto differ = std::ranges::mismatch(sequence.tokens, tokens).in2;
  // The last token is read again even where it stays: its logits are wanted.
  const int64_t same = std::min(differ - tokens.begin(), std::ssize(tokens) - 1);
  if (same < sequence.read) {
    const int64_t held = cache_.lengths()[size_t(row)];
    int64_t kept = std::clamp<int64_t>(same - sequence.start, 0, held);
    // A ring has lost what the next token sees if more than this goes.
    if (model_.config().attention_window > 0 && held - kept > cache_.most_new()) kept = 0;
    cache_.set_length(row, kept);
    sequence.read = same;
  }
  sequence.tokens = std::move(tokens);
}

void Decoder::remove(int64_t row) {
  take_drawn();
  int64_t last = size() - 1;
  if (row != last) {
    sequences_[size_t(row)] = std::move(sequences_.back());
    cache_.copy_row(cache_, last, row);
    backend(logits_)->layout.copy_block(logits_, last, logits_, row, 1, 0);
  }
  sequences_.pop_back();
}

// Makes the cache's row hold a beginning of the sequence's window; how many tokens it lacks.
int64_t Decoder::prepare(int64_t row) {
  Sequence& sequence = sequences_[size_t(row)];
  auto length = int64_t(sequence.tokens.size());
  if (sequence.read == length) return 0;
  int64_t start = options_.window.start(length);
  if (start != sequence.start || !options_.kv_cache) cache_.set_length(row, 0);
  sequence.start = start;
  return length - start - cache_.lengths()[size_t(row)];
}

void Decoder::step() {
  NoGrad no_grad;
  model_.context().training = false;
  int64_t first = 0, fresh = 0;  // rows from `first` on that lack `fresh` tokens each
  for (int64_t row = 0; row < size(); ++row) {
    int64_t lacks = prepare(row);
    if (lacks == fresh && (row + 1 - first) * fresh <= max_rows_a_call) continue;
    forward(first, row - first, fresh);
    first = row;
    fresh = lacks;
  }
  forward(first, size() - first, fresh);
}

// Reads the last `fresh` tokens of rows [row, row + count), as many at once as the cache takes.
void Decoder::forward(int64_t row, int64_t count, int64_t fresh) {
  for (int64_t left = count > 0 ? fresh : 0; left > 0;) {
    const int64_t n = std::min(left, cache_.most_new());
    if (fresh == 1 && count == size()) {
      read_token_of_each();
    } else {
      take_drawn();
      KvCache rows = cache_.rows(row, row + count);
      read(token_ids(tokens_of_each(row, count, left, n), {count, n}, vocab_size(),
                     model_.context().device, "decoder"),
           rows, row);
    }
    tokens_run_ += count * n;
    // Not before: what was interrupted is read again. Nor later: a ring may have lost by then what
    // came before.
    left -= n;
    for (int64_t b = row; b < row + count; ++b) {
      cache_.set_length(b, cache_.lengths()[size_t(b)] + n);
      Sequence& sequence = sequences_[size_t(b)];
      if (left == 0) sequence.read = int64_t(sequence.tokens.size());
    }
  }
}

// The logits of the rows from `row` on, whose next tokens are ids [count, fresh]. `rows`, their
// part of the cache, keeps its lengths, so that it can be called again.
void Decoder::read(const Array& ids, KvCache& rows, int64_t row) {
  const std::vector<int64_t> lengths = rows.lengths();
  Array logits = model_(ids, &rows, /*last_only=*/true).array();
  for (size_t b = 0; b < lengths.size(); ++b) rows.set_length(int64_t(b), lengths[b]);
  if (logits.dtype() != DType::f32) logits = backend(logits)->elementwise.cast(logits, DType::f32);
  backend(logits_)->layout.copy_block(logits.reshape({rows.batch(), vocab_size()}), 0, logits_, row,
                                      rows.batch(), 0);
}

// The first n of the last `left` tokens of each row.
std::vector<int32_t> Decoder::tokens_of_each(int64_t row, int64_t count, int64_t left,
                                             int64_t n) const {
  std::vector<int32_t> ids;
  for (int64_t b = row; b < row + count; ++b) {
    const auto first = sequences_[size_t(b)].tokens.end() - left;
    ids.insert(ids.end(), first, first + n);
  }
  return ids;
}

Array& Decoder::next_tokens() {
  Array& next = next_[size()];
  if (!next.defined()) next = Array({size(), 1}, DType::i32, model_.context().device);
  return next;
}

void Decoder::read_token_of_each() {
  Array& ids = next_tokens();
  if (drawn_.empty())
    write_token_ids(tokens_of_each(0, size(), 1, 1), vocab_size(), ids, "decoder");
  const std::span lengths = std::span(cache_.lengths()).first(size_t(size()));
  const int64_t past = std::ranges::max(lengths);
  check(past < cache_.capacity, "decoder: a sequence of {} tokens has filled its cache", past);
  // Up to powers of two, so that short sequences are not read as if they were long; a ring has none
  // that are long.
  const bool is_ring = model_.config().attention_window > 0;
  const int64_t end = is_ring
                          ? cache_.capacity
                          : std::min(int64_t(std::bit_ceil(uint64_t(past) + 1)), cache_.capacity);
  // What is profiled is asked for, operation by operation.
  const bool record = options_.record && !Profiler::active();
  const bool again = record && !token_steps_.try_emplace({size(), end}).second;
  if (!again) {
    KvCache rows = cache_.rows(0, size());
    return read(ids, rows, 0);
  }
  std::unique_ptr<TokenStep>& step = token_steps_.at({size(), end});
  if (!step) {
    step = std::make_unique<TokenStep>(TokenStep{cache_.rows(0, size()), nullptr});
    step->rows.longest = end - 1;
  }
  for (size_t b = 0; b < lengths.size(); ++b) step->rows.set_length(int64_t(b), lengths[b]);
  step->rows.positions();  // written now, not in the recording
  if (!step->recording)
    step->recording =
        backend(logits_)->recorder.record([this, ids, &rows = step->rows] { read(ids, rows, 0); });
  step->recording->run();
}

std::vector<float> Decoder::logits(int64_t row) const {
  std::vector<float> all = to_vector<float>(logits_.slice(row, row + 1));
  all.resize(size_t(options_.tokens));
  return all;
}

std::vector<int32_t> Decoder::draw(const SamplerOptions& options,
                                   std::span<const RowDraw> rows) const {
  return draw_tokens(logits_.slice(0, size()), options_.tokens, options, rows);
}

void Decoder::draw_ahead(const SamplerOptions& options, std::span<const RowDraw> rows) {
  check(std::ssize(rows) == size() && options.repetition_penalty == 1,
        "decoder: {} draws ahead for {} sequences, with a repetition_penalty of {}", rows.size(),
        size(), options.repetition_penalty);
  if (std::ssize(drawn_) == max_draws_ahead) take_drawn();
  if (!drawn_ids_.defined())
    drawn_ids_ = Array({max_draws_ahead, options_.batch_size}, DType::i32, logits_.device());
  const Array ids = backend(logits_)->sampling.draw(logits_.slice(0, size()), options_.tokens,
                                                    options, rows, &next_tokens());
  Array to = drawn_ids_.slice(std::ssize(drawn_), std::ssize(drawn_) + 1);
  backend(to)->layout.copy_block(ids.reshape({1, size()}), 0, to, 0, size(), 1);
  drawn_.emplace_back(rows.begin(), rows.end());
  for (Sequence& sequence : sequences_) sequence.tokens.push_back(0);
}

// Waits for the tokens that were drawn ahead.
void Decoder::take_drawn() {
  if (drawn_.empty()) return;
  const std::vector<std::vector<RowDraw>> draws = std::exchange(drawn_, {});
  const auto ids = to_vector<int32_t>(drawn_ids_.slice(0, std::ssize(draws)));
  for (size_t i = 0; i < draws.size(); ++i)
    for (size_t b = 0; b < sequences_.size(); ++b) {
      const int32_t id = ids[i * size_t(options_.batch_size) + b];
      if (id < 0) fail_not_finite(draws[i][b], "a logit that is NaN or infinite");
      std::vector<int32_t>& tokens = sequences_[b].tokens;
      tokens[tokens.size() - draws.size() + i] = id;
    }
}

}  // namespace folio
