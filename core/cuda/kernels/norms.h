#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/bfloat16.h"

namespace folio::cuda {

// What core/backend/norms.h says of layer_norm, on pointers of the device: x and y [rows, C], w and
// b [C], mean and rstd [rows]; b may be null. (X, Y, A) is one of (double, double, double),
// (float, float, float), (float, bfloat16, float) and (bfloat16, bfloat16, float).
template <class X, class Y, class A>
void layer_norm(const X* x, const A* w, const A* b, double eps, Y* y, A* mean, A* rstd,
                int64_t rows, int C, cudaStream_t stream);

// Elements of A that layer_norm_grad needs as scratch.
int64_t layer_norm_grad_scratch(int64_t rows, int C);

// dx [rows, C] from dy; adds to dw and, unless it is null, to db. The sums over the rows are taken
// in an order that depends on the shape alone.
template <class X, class Y, class A>
void layer_norm_grad(const Y* dy, const X* x, const A* w, const A* mean, const A* rstd, X* dx,
                     A* dw, A* db, A* scratch, int64_t rows, int C, cudaStream_t stream);

}  // namespace folio::cuda
