#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/array.h"
#include "core/random.h"
#include "data/dataset/token_file.h"

namespace folio {

struct Batch {
  Array x, y;  // [B, T] i32; y[b, t] is the token after x[b, t]
};

// random: nanoGPT's get_batch: every row starts at a uniformly drawn place of the split.
// epochs: the split, from a drawn start below block_size on, is cut into windows of block_size
// tokens, which come in a drawn order; when all have come, the next epoch is cut and ordered anew.
enum class BatchOrder { random, epochs };
BatchOrder batch_order_named(const std::string& name);  // "random" or "epochs"

class BatchSampler {
 public:
  // Its whole state, so a run that restores it sees the same batches again.
  struct Place {
    Generator generator;
    int64_t taken = 0;  // windows of the epoch that was drawn last; 0: the next one begins
  };

  // `tokens` must outlive this.
  BatchSampler(const TokenFile& tokens, Generator generator, BatchOrder order = BatchOrder::random)
      : tokens_(&tokens), order_(order), place_{.generator = generator} {}

  // Error if the split is not longer than block_size.
  Batch next(int64_t batch_size, int64_t block_size, Device device);

  // As if `next` had been called.
  void skip(int64_t batch_size, int64_t block_size);

  const Place& place() const { return place_; }
  void set_place(const Place& place) { place_ = place; }

 private:
  uint64_t starts(int64_t batch_size, int64_t block_size) const;
  // Where the next window of an epoch starts: below `starts`, as every row does.
  int64_t next_window(uint64_t starts, int64_t block_size);

  const TokenFile* tokens_;
  BatchOrder order_;
  Place place_;
  std::vector<int32_t> row_, x_, y_;
};

}  // namespace folio
