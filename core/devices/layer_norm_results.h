#pragma once
#include "core/backend.h"
#include "core/devices/sum_dtype.h"

namespace folio {

// What layer_norm gives for x, in `dtype`, before a kernel fills it.
inline LayerNormed unset_layer_norm(const Array& x, DType dtype) {
  const DType sums = sum_dtype(x.dtype());
  return {Array(x.shape(), dtype, x.device()), Array({x.rows()}, sums, x.device()),
          Array({x.rows()}, sums, x.device())};
}

// dw and, if it is wanted, db before `op` adds the gradients of a layer norm of x to them.
inline void begin_layer_norm_sums(const char* op, const Array& x, const Array& w, Array& dw,
                                  Array* db) {
  for (Array* sum : {&dw, db}) {
    if (!sum) continue;
    if (!sum->defined()) *sum = zeros(w.shape(), sum_dtype(x.dtype()), x.device());
    sum->begin_write(op);
  }
}

// Whether add_dropout_layer_norm_grad's two gradients are one array.
inline bool is_one_gradient(const Array& dy, const Array& sum, const Dropout& dropout) {
  return !dropout.enabled() && dy.dtype() == sum.dtype();
}

}  // namespace folio
