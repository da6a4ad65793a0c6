#include "core/cuda/kernels/norms.h"

#include <cmath>

#include "core/cuda/kernels/norm_rows.h"
#include "core/cuda/ptx.h"

namespace folio::cuda {
namespace {

constexpr int warps = norm_warps, threads = norm_threads;

// Packs of a row that a lane keeps in registers: of up to 1,024 numbers in f32. Of longer rows it
// reads what it needs again, from the cache.
constexpr int kept_packs = 8;

// f(c, i) for the packs of a warp's row that are the lane's: the i-th, from column c on.
template <int n, bool keeps, class F>
__device__ __forceinline__ void each_pack(int C, F&& f) {
  if constexpr (keeps) {
#pragma unroll
    for (int i = 0; i < kept_packs; ++i)
      if (const int c = (i * 32 + lane_of_warp()) * n; c < C) f(c, i);
  } else {
    for (int c = lane_of_warp() * n; c < C; c += 32 * n) f(c, 0);
  }
}

// A warp's row, of which values(c, i) is a pack. The variance is summed around the mean, which rms,
// whose `mean` is null, takes for 0.
template <int n, bool keeps, class Y, class A, class F>
__device__ __forceinline__ void normalize_row(F&& values, const A* w, const A* b, A eps, Y* y,
                                              A* mean, A* rstd, int C) {
  A center = 0, squares = 0;
  if (mean) {
    A total = 0;
    each_pack<n, keeps>(C, [&](int c, int i) {
      const auto x = values(c, i);
      for (int j = 0; j < n; ++j) total += A(x.at[j]);
    });
    center = sum_of_warp(total) / A(C);
  }
  each_pack<n, keeps>(C, [&](int c, int i) {
    const auto x = values(c, i);
    for (int j = 0; j < n; ++j) squares += (A(x.at[j]) - center) * (A(x.at[j]) - center);
  });
  const A factor = A(1) / std::sqrt(sum_of_warp(squares) / A(C) + eps);
  each_pack<n, keeps>(C, [&](int c, int i) {
    const auto x = values(c, i);
    const auto scale = w ? load_pack<n>(w + c) : Pack<A, n>{},
               shift = b ? load_pack<n>(b + c) : Pack<A, n>{};
    Pack<Y, n> out;
    for (int j = 0; j < n; ++j)
      out.at[j] = Y((A(x.at[j]) - center) * factor * (w ? scale.at[j] : A(1)) + shift.at[j]);
    store_pack<n>(y + c, out);
  });
  if (lane_of_warp() == 0) {
    if (mean) *mean = center;
    *rstd = factor;
  }
}

template <class X, class Y, class A, int n, bool keeps>
__global__ void __launch_bounds__(threads)
    forward_kernel(const X* x, const A* w, const A* b, A eps, Y* y, A* mean, A* rstd, int64_t rows,
                   int C) {
  after_previous_kernel();
  const int64_t row = int64_t(blockIdx.x) * warps + threadIdx.x / 32;
  if (row >= rows) return;
  x += row * C;
  Pack<X, n> kept[keeps ? kept_packs : 1];
  if constexpr (keeps) each_pack<n, keeps>(C, [&](int c, int i) { kept[i] = load_pack<n>(x + c); });
  auto values = [&](int c, int i) {
    if constexpr (keeps)
      return kept[i];
    else
      return load_pack<n>(x + c);
  };
  normalize_row<n, keeps>(values, w, b, eps, y + row * C, mean ? mean + row : nullptr, rstd + row,
                          C);
}

// A sum that is not kept lies in shared memory for the norm. A lane reads there what it wrote.
template <class X, class Y, class A, int n, bool keeps>
__global__ void __launch_bounds__(threads) add_forward_kernel(AddDropoutNorm<X, Y, A> in, A scale) {
  after_previous_kernel();
  const int64_t row = int64_t(blockIdx.x) * warps + threadIdx.x / 32;
  if (row >= in.rows) return;
  const int C = in.C;
  const X* residual = in.residual + row * C;
  const Y* x = in.x + row * C;
  Pack<X, n> kept[keeps ? kept_packs : 1];
  Pack<Y, n> added[keeps ? kept_packs : 1];
  if constexpr (keeps)  // all on their way before the first is needed
    each_pack<n, keeps>(C, [&](int c, int i) {
      kept[i] = load_pack<n>(residual + c);
      added[i] = load_pack<n>(x + c);
    });
  X* shared_sum = keeps ? nullptr : &dynamic_shared<X>() + int(threadIdx.x) / 32 * C;
  each_pack<n, keeps>(C, [&](int c, int i) {
    const int64_t at = row * C + c;
    if constexpr (!keeps) kept[0] = load_pack<n>(residual + c), added[0] = load_pack<n>(x + c);
    kept[i] = add_dropped<A>(kept[i], added[i], DropoutNumbers(in.dropout, at), 0,
                             in.dropout.threshold, scale);
    store_pack<n>(in.sum + at, kept[i]);
    if constexpr (!keeps) store_pack<n>(shared_sum + c, kept[0]);
  });
  auto values = [&](int c, int i) {
    if constexpr (keeps)
      return kept[i];
    else
      return load_pack<n>(shared_sum + c);
  };
  normalize_row<n, keeps>(values, in.w, in.b, A(in.eps), in.y + row * C,
                          in.mean ? in.mean + row : nullptr, in.rstd + row, C);
}

// The bool as a type: whether the lanes of a warp keep rows of C numbers in packs of n.
template <int n, class F>
void visit_keeps(int C, F&& f) {
  if (C <= kept_packs * 32 * n)
    f(std::true_type());
  else
    f(std::false_type());
}

}  // namespace

template <class X, class Y, class A>
void norm(const X* x, const A* w, const A* b, double eps, Y* y, A* mean, A* rstd, int64_t rows,
          int C, cudaStream_t stream) {
  visit_pack<X>(C, [&]<int n>(std::integral_constant<int, n>) {
    visit_keeps<n>(C, [&]<bool keeps>(std::bool_constant<keeps>) {
      launch_early("norm", forward_kernel<X, Y, A, n, keeps>,
                   {unsigned((rows + warps - 1) / warps), threads}, stream, x, w, b, A(eps), y,
                   mean, rstd, rows, C);
    });
  });
}

template <class X, class Y, class A>
void add_dropout_norm(const AddDropoutNorm<X, Y, A>& arguments, cudaStream_t stream) {
  visit_pack<X>(arguments.C, [&]<int n>(std::integral_constant<int, n>) {
    visit_keeps<n>(arguments.C, [&]<bool keeps>(std::bool_constant<keeps>) {
      launch_early("add_dropout_norm", add_forward_kernel<X, Y, A, n, keeps>,
                   {unsigned((arguments.rows + warps - 1) / warps), threads,
                    keeps ? 0 : warps * sizeof(X) * size_t(arguments.C)},
                   stream, arguments, A(arguments.dropout.scale()));
    });
  });
}

template void norm(const double*, const double*, const double*, double, double*, double*, double*,
                   int64_t, int, cudaStream_t);
template void add_dropout_norm(const AddDropoutNorm<double, double, double>&, cudaStream_t);
template void norm(const float*, const float*, const float*, double, float*, float*, float*,
                   int64_t, int, cudaStream_t);
template void add_dropout_norm(const AddDropoutNorm<float, float, float>&, cudaStream_t);
template void norm(const float*, const float*, const float*, double, bfloat16*, float*, float*,
                   int64_t, int, cudaStream_t);
template void add_dropout_norm(const AddDropoutNorm<float, bfloat16, float>&, cudaStream_t);
template void norm(const bfloat16*, const float*, const float*, double, bfloat16*, float*, float*,
                   int64_t, int, cudaStream_t);
template void add_dropout_norm(const AddDropoutNorm<bfloat16, bfloat16, float>&, cudaStream_t);

}  // namespace folio::cuda
