#pragma once
#include "core/dtype.h"

namespace folio {

// Calls f(T{}) with the floating-point type that `dtype` names; `what` begins the error for others.
template <class F>
decltype(auto) visit_dtype(DType dtype, const char* what, F&& f) {
  switch (dtype) {
    case DType::f64:
      return f(double{});
    case DType::f32:
      return f(float{});
    case DType::bf16:
      return f(bfloat16{});
    case DType::i32:
      break;
  }
  fail("{}: needs a floating-point array, got {}", what, dtype);
}

}  // namespace folio
