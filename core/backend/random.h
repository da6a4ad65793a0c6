#pragma once
#include "core/array.h"
#include "core/random.h"

namespace folio {

// What draws random numbers: pure functions of a stream and an element's index (core/random.h).
class RandomOps {
 public:
  virtual ~RandomOps() = default;

  virtual void normal(Array& x, double mean, double std, RandomStream stream) = 0;
  // residual + dropout(x), in the dtype of `residual`, which is optional and may be f32 over bf16
  virtual Array add_dropout(const Array& residual, const Array& x, const Dropout& dropout) = 0;
  // dy with the same elements dropped and the rest scaled, in the dtype of what was dropped
  virtual Array dropout_grad(const Array& dy, const Dropout& dropout, DType dtype) = 0;
};

}  // namespace folio
