#include <cmath>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/each.h"
#include "core/cuda/kernels/pack.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::each, cuda::each_row;

// The larger one, or NaN if either is that.
template <class A>
__device__ A larger(A a, A b) {
  return a > b || a != a ? a : b;
}

template <class A>
__device__ A largest_of_warp(A x) {
  for (int lanes = 16; lanes > 0; lanes /= 2)
    x = larger(x, __shfl_xor_sync(cuda::all_lanes, x, lanes));
  return x;
}

template <class T, class A = SumOf<T>>
void softmax_of(const T* x, int64_t rows, int64_t n, bool log, T* y) {
  each_row("softmax", rows, [=] __device__(int64_t row, int lane) {
    const T* in = x + row * n;
    A top = -INFINITY, sum = 0;
    for (int64_t i = lane; i < n; i += 32) top = larger(A(in[i]), top);
    top = largest_of_warp(top);
    for (int64_t i = lane; i < n; i += 32) sum += std::exp(A(in[i]) - top);
    sum = cuda::sum_of_warp(sum);
    const A log_sum = std::log(sum);
    for (int64_t i = lane; i < n; i += 32)
      y[row * n + i] = T(log ? A(in[i]) - top - log_sum : std::exp(A(in[i]) - top) / sum);
  });
}

// softmax: y (dy - sum(dy y)); its logarithm: dy - e^y sum(dy).
template <class T, class A = SumOf<T>>
void softmax_grad_of(const T* y, const T* dy, int64_t rows, int64_t n, bool log, T* dx) {
  each_row("softmax_grad", rows, [=] __device__(int64_t row, int lane) {
    const T *out = y + row * n, *grad = dy + row * n;
    A sum = 0;
    for (int64_t i = lane; i < n; i += 32) sum += log ? A(grad[i]) : A(grad[i]) * A(out[i]);
    sum = cuda::sum_of_warp(sum);
    for (int64_t i = lane; i < n; i += 32)
      dx[row * n + i] =
          T(log ? A(grad[i]) - std::exp(A(out[i])) * sum : A(out[i]) * (A(grad[i]) - sum));
  });
}

template <class T>
void causal_mask_of(const T* x, int64_t size, int64_t rows, int64_t columns, T hidden, T* y) {
  each("causal_mask", size, [=] __device__(int64_t i) {
    const int64_t last = columns - rows + i / columns % rows;
    y[i] = i % columns <= last ? x[i] : hidden;
  });
}

class CudaRowOps final : public RowOps {
 public:
  Array softmax(const Array& x, bool log) override {
    Array y(x.shape(), x.dtype(), x.device());
    visit_dtype(x.dtype(), "softmax", [&](auto t) {
      using T = decltype(t);
      softmax_of<T>(x.data<T>(), x.rows(), x.dim(-1), log, y.data<T>());
    });
    return y;
  }

  Array softmax_grad(const Array& y, const Array& dy, bool log) override {
    Array dx(y.shape(), y.dtype(), y.device());
    visit_dtype(y.dtype(), "softmax_grad", [&](auto t) {
      using T = decltype(t);
      softmax_grad_of<T>(y.data<T>(), dy.data<T>(), y.rows(), y.dim(-1), log, dx.data<T>());
    });
    return dx;
  }

  Array causal_mask(const Array& x, double hidden) override {
    Array y(x.shape(), x.dtype(), x.device());
    visit_dtype(x.dtype(), "causal_mask", [&](auto t) {
      using T = decltype(t);
      causal_mask_of<T>(x.data<T>(), x.size(), x.dim(-2), x.dim(-1), T(float(hidden)), y.data<T>());
    });
    return y;
  }
};

}  // namespace

RowOps& cuda_rows() {
  static auto& operations = *new CudaRowOps;
  return operations;
}

}  // namespace folio
