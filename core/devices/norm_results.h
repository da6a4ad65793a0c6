#pragma once
#include "core/backend.h"
#include "core/devices/sum_dtype.h"

namespace folio {

// What a norm gives for x, in `dtype`, before a kernel fills it.
inline Normed unset_norm(const Array& x, const Norm& norm, DType dtype) {
  const DType sums = sum_dtype(x.dtype());
  Normed out{Array(x.shape(), dtype, x.device()), {}, Array({x.rows()}, sums, x.device())};
  if (norm.kind == NormKind::layer) out.mean = Array({x.rows()}, sums, x.device());
  return out;
}

// dw, if there is a weight, and db, if it is wanted, before `op` adds the gradients of a norm of x
// to them.
inline void begin_norm_sums(const char* op, const Array& x, const Array& w, Array& dw, Array* db) {
  for (Array* sum : {w.defined() ? &dw : nullptr, db}) {
    if (!sum) continue;
    if (!sum->defined()) *sum = zeros({x.dim(-1)}, sum_dtype(x.dtype()), x.device());
    sum->begin_write(op);
  }
}

// Whether add_dropout_norm_grad's two gradients are one array.
inline bool is_one_gradient(const Array& dy, const Array& sum, const Dropout& dropout) {
  return !dropout.enabled() && dy.dtype() == sum.dtype();
}

}  // namespace folio
