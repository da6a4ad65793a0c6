#pragma once
#include "core/array.h"
#include "core/devices/axis_view.h"

namespace folio {

// The sums over n of x, seen as [outer, n, inner] -> [outer * inner] in f32 (f64 for f64). They do
// not depend on the number of threads.
Array sum_axis(const Array& x, int64_t outer, int64_t n, int64_t inner);

}  // namespace folio
