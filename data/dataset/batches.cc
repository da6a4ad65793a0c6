#include "data/dataset/batches.h"

#include <algorithm>

#include "core/backend.h"

namespace folio {

BatchOrder batch_order_named(const std::string& name) {
  check(name == "random" || name == "epochs",
        "batches must be \"random\" or \"epochs\", got \"{}\"", name);
  return name == "random" ? BatchOrder::random : BatchOrder::epochs;
}

int64_t BatchSampler::next_window(uint64_t starts, int64_t block_size) {
  const auto T = uint64_t(block_size);
  auto first_of = [&](RandomStream s) { return uniform_below(std::min(T, starts), s, 0); };
  auto windows_from = [&](uint64_t first) { return int64_t((starts - 1 - first) / T + 1); };
  RandomStream epoch{place_.generator.seed, place_.generator.drawn - 1};
  // The text may have become shorter since the place was saved.
  if (place_.taken == 0 || place_.taken >= windows_from(first_of(epoch))) {
    epoch = place_.generator.next();
    place_.taken = 0;
  }
  const uint64_t first = first_of(epoch);
  const int64_t windows = windows_from(first);
  const uint64_t window = permuted(uint64_t(place_.taken), uint64_t(windows), epoch);
  place_.taken = (place_.taken + 1) % windows;
  return int64_t(first + window * T);
}

// The number of places where a row can start.
uint64_t BatchSampler::starts(int64_t batch_size, int64_t block_size) const {
  check(batch_size > 0 && block_size > 0,
        "a batch needs batch_size and block_size of at least 1, got {} and {}", batch_size,
        block_size);
  check(tokens_->size() > block_size,
        "{} has {} tokens, which is not more than block_size = {}; use a longer text or a smaller "
        "block_size",
        tokens_->path(), tokens_->size(), block_size);
  return uint64_t(tokens_->size() - block_size);
}

void BatchSampler::skip(int64_t batch_size, int64_t block_size) {
  const uint64_t starts = this->starts(batch_size, block_size);
  if (order_ == BatchOrder::random)
    place_.generator.next();
  else
    for (int64_t b = 0; b < batch_size; ++b) next_window(starts, block_size);
}

Batch BatchSampler::next(int64_t batch_size, int64_t block_size, Device device) {
  const uint64_t starts = this->starts(batch_size, block_size);
  RandomStream stream;
  if (order_ == BatchOrder::random) stream = place_.generator.next();
  row_.resize(size_t(block_size) + 1);
  x_.resize(size_t(batch_size * block_size));
  y_.resize(x_.size());
  for (int64_t b = 0; b < batch_size; ++b) {
    int64_t start = order_ == BatchOrder::random
                        ? int64_t(uniform_below(starts, stream, uint64_t(b)))
                        : next_window(starts, block_size);
    tokens_->read(start, row_);
    std::copy(row_.begin(), row_.end() - 1, x_.begin() + b * block_size);
    std::copy(row_.begin() + 1, row_.end(), y_.begin() + b * block_size);
  }
  Shape shape{batch_size, block_size};
  const int64_t V = tokens_->vocab_size();
  return {token_ids(x_, shape, V, device, tokens_->path()),
          target_ids(y_, shape, V, device, tokens_->path())};
}

}  // namespace folio
