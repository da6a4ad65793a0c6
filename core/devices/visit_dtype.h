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
    case DType::i8:
      break;
  }
  fail("{}: needs a floating-point array, got {}", what, dtype);
}

// Calls f(Wide{}, Narrow{}) for a residual stream and what branches off it: the same type twice, or
// f32 over bf16.
template <class F>
decltype(auto) visit_stream(DType wide, DType narrow, const char* what, F&& f) {
  if (wide == DType::f32 && narrow == DType::bf16) return f(float{}, bfloat16{});
  check(wide == narrow, "{}: {} cannot go with {}", what, wide, narrow);
  return visit_dtype(wide, what, [&](auto t) { return f(t, t); });
}

}  // namespace folio
