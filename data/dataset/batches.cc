#include "data/dataset/batches.h"

#include <algorithm>

#include "core/backend.h"

namespace folio {

uint64_t uniform_below(uint64_t bound, RandomStream stream, uint64_t i) {
  // 2^64 mod bound numbers are too many to share out evenly: those below `excess` are drawn again.
  uint64_t excess = (0 - bound) % bound;
  for (uint64_t attempt = 0;; ++attempt) {
    auto words = stream.block(i + (attempt << 32));
    uint64_t number = uint64_t(words[1]) << 32 | words[0];
    if (number >= excess) return number % bound;
  }
}

Batch BatchSampler::next(int64_t batch_size, int64_t block_size, Device device) {
  check(batch_size > 0 && block_size > 0,
        "a batch needs batch_size and block_size of at least 1, got {} and {}", batch_size,
        block_size);
  check(tokens_->size() > block_size,
        "{} has {} tokens, which is not more than block_size = {}; use a longer text or a smaller "
        "block_size",
        tokens_->path(), tokens_->size(), block_size);
  RandomStream stream = generator_.next();
  auto starts = uint64_t(tokens_->size() - block_size);
  row_.resize(size_t(block_size) + 1);
  x_.resize(size_t(batch_size * block_size));
  y_.resize(x_.size());
  for (int64_t b = 0; b < batch_size; ++b) {
    tokens_->read(int64_t(uniform_below(starts, stream, uint64_t(b))), row_);
    std::copy(row_.begin(), row_.end() - 1, x_.begin() + b * block_size);
    std::copy(row_.begin() + 1, row_.end(), y_.begin() + b * block_size);
  }
  Shape shape{batch_size, block_size};
  return {to_array(x_, shape, device), to_array(y_, shape, device)};
}

}  // namespace folio
