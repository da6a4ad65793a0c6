#pragma once
#include <algorithm>

#include "core/devices/axis_view.h"

namespace folio {

// The exchange of dimensions i and j of an array, seen as x [A, M, B, N, C] -> y [A, N, B, M, C].
struct Exchange {
  int64_t A, M, B, N, C;

  Exchange(const Shape& x, int i, int j) {
    const auto [first, second] = std::minmax(i, j);
    const AxisView outer(x, first), inner(x, second);
    A = outer.outer;
    M = first == second ? 1 : outer.n;
    B = first == second ? 1 : inner.outer / outer.outer / outer.n;
    N = inner.n;
    C = inner.inner;
  }
};

}  // namespace folio
