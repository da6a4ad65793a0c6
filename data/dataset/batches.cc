#include "data/dataset/batches.h"

#include <algorithm>

#include "core/backend.h"

namespace folio {

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
  const int64_t V = tokens_->vocab_size();
  return {token_ids(x_, shape, V, device, tokens_->path()),
          target_ids(y_, shape, V, device, tokens_->path())};
}

}  // namespace folio
