#pragma once
#include "core/array.h"

namespace folio {

// An array seen as [outer, n, inner], its axis of n between the dimensions before and after it.
struct AxisView {
  int64_t outer = 1, n = 1, inner = 1;
  AxisView(const Shape& shape, int axis) : n(shape[axis]) {
    for (int i = 0; i < axis; ++i) outer *= shape[i];
    for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }
};

// The sums over n of x, seen as [outer, n, inner] -> [outer * inner] in f32 (f64 for f64). They do
// not depend on the number of threads.
Array sum_axis(const Array& x, int64_t outer, int64_t n, int64_t inner);

}  // namespace folio
