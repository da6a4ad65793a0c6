#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/bfloat16.h"
#include "core/random.h"

namespace folio::cuda {

// What core/backend/norms.h says of norm, on pointers of the device: x and y [rows, C], w and b
// [C], mean and rstd [rows]; w and b may be null. A null mean says that the norm is rms. (X, Y, A)
// is one of (double, double, double), (float, float, float), (float, bfloat16, float) and
// (bfloat16, bfloat16, float).
template <class X, class Y, class A>
void norm(const X* x, const A* w, const A* b, double eps, Y* y, A* mean, A* rstd, int64_t rows,
          int C, cudaStream_t stream);

// Elements of A that norm_grad needs as scratch.
int64_t norm_grad_scratch(int64_t rows, int C);

// dx [rows, C] from dy; adds to those of dw and db that are not null. The sums over the rows are
// taken in an order that depends on the shape alone.
template <class X, class Y, class A>
void norm_grad(const Y* dy, const X* x, const A* w, const A* mean, const A* rstd, X* dx, A* dw,
               A* db, A* scratch, int64_t rows, int C, cudaStream_t stream);

// What core/backend/norms.h says of add_dropout_norm: residual, x, sum and y [rows, C], w and
// b [C], mean and rstd [rows]; w, b and, for rms, mean may be null.
template <class X, class Y, class A>
struct AddDropoutNorm {
  const X* residual;
  const Y* x;
  const A *w, *b;
  double eps;
  Dropout dropout;
  X* sum;
  Y* y;
  A *mean, *rstd;
  int64_t rows;
  int C;
};
// Shared memory that its gradient needs, and so does with less: of eight rows and their sums.
template <class X, class Y, class A>
constexpr size_t add_dropout_norm_shared(int C) {
  return (2 * sizeof(A) + 8 * (sizeof(X) + sizeof(Y))) * size_t(C);
}
// Both are for rows of which a block may have that much, on every GPU since compute capability 8.0.
template <class X, class Y, class A>
constexpr bool fits_add_dropout_norm(int C) {
  return add_dropout_norm_shared<X, Y, A>(C) <= size_t{96} << 10;
}

template <class X, class Y, class A>
void add_dropout_norm(const AddDropoutNorm<X, Y, A>& arguments, cudaStream_t stream);

// dsum [rows, C] is added to, or, unless `adds`, written; then dropped to dx, unless that is null.
template <class X, class Y, class A>
void add_dropout_norm_grad(const Y* dy, const X* sum, const A* w, const A* mean, const A* rstd,
                           const Dropout& dropout, bool adds, X* dsum, Y* dx, A* dw, A* db,
                           A* scratch, int64_t rows, int C, cudaStream_t stream);

}  // namespace folio::cuda
