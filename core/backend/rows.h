#pragma once
#include "core/array.h"

namespace folio {

// Functions of the rows of the last dimension.
class RowOps {
 public:
  virtual ~RowOps() = default;

  // e^x / sum(e^x), or with `log` its logarithm, and the gradient in x from the result y.
  virtual Array softmax(const Array& x, bool log) = 0;
  virtual Array softmax_grad(const Array& y, const Array& dy, bool log) = 0;
  // x [..., T, S], S >= T, with `hidden` in place of x[..., t, s] for every s > S - T + t.
  virtual Array causal_mask(const Array& x, double hidden) = 0;
};

}  // namespace folio
