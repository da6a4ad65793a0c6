#pragma once
#include "core/array.h"
#include "core/random.h"

namespace folio {

// What draws random numbers: pure functions of a stream and an element's index, counted row by row
// (core/random.h), the same on every device.
class RandomOps {
 public:
  virtual ~RandomOps() = default;

  // x[i] = mean + std z, z number i mod 4 of the stream's block i / 4, whose words (a, b) and (c,
  // d) each give two: radius sqrt(-2 ln((a + 1) / 2^32)), angle 2 pi b / 2^32, cosine before sine,
  // in f64 (Box & Muller, 1958). A seed starts the same model on every device.
  virtual void normal(Array& x, double mean, double std, RandomStream stream) = 0;
  // residual + dropout(x), in the dtype of `residual`, which may be f32 over bf16; without it, in
  // that of x
  virtual Array add_dropout(const Array& residual, const Array& x, const Dropout& dropout) = 0;
  // dy with the same elements dropped and the rest scaled, in `dtype`, that of add_dropout's x
  virtual Array dropout_grad(const Array& dy, const Dropout& dropout, DType dtype) = 0;
};

}  // namespace folio
