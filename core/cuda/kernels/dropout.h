#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/bfloat16.h"
#include "core/random.h"

namespace folio::cuda {

// y[i] = residual[i] + x[i] times 0 or dropout.scale(), for n elements; `residual` may be null.
// Also the gradient: of dy, in the type of what was dropped. Y and X are one type, or float and
// bfloat16.
template <class Y, class X>
void add_dropout(const Y* residual, const X* x, const Dropout& dropout, Y* y, int64_t n,
                 cudaStream_t stream);

}  // namespace folio::cuda
