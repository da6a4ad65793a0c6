#pragma once
#include <type_traits>

#include "core/backend.h"

namespace folio {

// What sums of T are kept in: double for double, else float.
template <class T>
using SumOf = std::conditional_t<std::is_same_v<T, double>, double, float>;
inline DType sum_dtype(DType dtype) { return dtype == DType::f64 ? DType::f64 : DType::f32; }

// x itself if it is undefined or in `dtype` already, else a cast of it.
inline Array in_dtype(const Array& x, DType dtype) {
  return !x.defined() || x.dtype() == dtype ? x : backend(x)->elementwise.cast(x, dtype);
}

}  // namespace folio
