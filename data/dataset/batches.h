#pragma once
#include <cstdint>
#include <vector>

#include "core/array.h"
#include "core/random.h"
#include "data/dataset/token_file.h"

namespace folio {

struct Batch {
  Array x, y;  // [B, T] i32; y[b, t] is the token after x[b, t]
};

// nanoGPT's get_batch: every row starts at a uniformly drawn place of the split. Its whole state is
// the Generator, so a run that restores it sees the same batches again.
class BatchSampler {
 public:
  // `tokens` must outlive this.
  BatchSampler(const TokenFile& tokens, Generator generator)
      : tokens_(&tokens), generator_(generator) {}

  // Error if the split is not longer than block_size.
  Batch next(int64_t batch_size, int64_t block_size, Device device);

  const Generator& generator() const { return generator_; }
  void set_generator(Generator generator) { generator_ = generator; }

 private:
  const TokenFile* tokens_;
  Generator generator_;
  std::vector<int32_t> row_, x_, y_;
};

}  // namespace folio
