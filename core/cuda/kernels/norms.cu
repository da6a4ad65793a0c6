#include "core/cuda/kernels/norms.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/cuda/kernels/pack.h"

namespace folio::cuda {
namespace {

constexpr int warps = 8, threads = warps * 32;
constexpr int64_t most_blocks = 512;  // of layer_norm_grad: as many sums of dw and db as are added

// A warp a row. The variance is summed around the mean; what the first pass read is in the cache.
template <class X, class Y, class A, int n>
__global__ void __launch_bounds__(threads)
    forward_kernel(const X* x, const A* w, const A* b, A eps, Y* y, A* mean, A* rstd, int64_t rows,
                   int C) {
  const int64_t row = int64_t(blockIdx.x) * warps + threadIdx.x / 32;
  if (row >= rows) return;
  const int lane = int(threadIdx.x) % 32;
  x += row * C;
  y += row * C;
  A total = 0, squares = 0;
  for (int c = lane * n; c < C; c += 32 * n) {
    const auto values = load_pack<n>(x + c);
    for (int i = 0; i < n; ++i) total += A(values.at[i]);
  }
  const A center = sum_of_warp(total) / A(C);
  for (int c = lane * n; c < C; c += 32 * n) {
    const auto values = load_pack<n>(x + c);
    for (int i = 0; i < n; ++i) squares += (A(values.at[i]) - center) * (A(values.at[i]) - center);
  }
  const A factor = A(1) / std::sqrt(sum_of_warp(squares) / A(C) + eps);
  for (int c = lane * n; c < C; c += 32 * n) {
    const auto values = load_pack<n>(x + c);
    Pack<Y, n> out;
    for (int i = 0; i < n; ++i)
      out.at[i] = Y((A(values.at[i]) - center) * factor * w[c + i] + (b ? b[c + i] : A(0)));
    store_pack<n>(y + c, out);
  }
  if (lane == 0) {
    mean[row] = center;
    rstd[row] = factor;
  }
}

template <class X, class Y, class A>
struct Backward {
  const Y* dy;
  const X* x;
  const A *w, *mean, *rstd;
  X* dx;
  A* sums;  // [blocks, 2, C]: of dw and db
  int64_t rows;
  int C;
};

// With n = (x - mean) rstd and g = dy w: dx = rstd (g - mean(g) - n mean(g n)). A warp's row.
template <int n, class X, class Y, class A>
__device__ void row_grad(const Backward<X, Y, A>& in, int64_t row) {
  const int lane = int(threadIdx.x) % 32, C = in.C;
  const X* x = in.x + row * C;
  const Y* dy = in.dy + row * C;
  const A center = in.mean[row], factor = in.rstd[row];
  A sum_g = 0, sum_gn = 0;
  for (int c = lane * n; c < C; c += 32 * n) {
    const auto values = load_pack<n>(x + c);
    const auto grads = load_pack<n>(dy + c);
    for (int i = 0; i < n; ++i) {
      const A g = A(grads.at[i]) * in.w[c + i];
      sum_g += g;
      sum_gn += g * (A(values.at[i]) - center) * factor;
    }
  }
  const A mean_g = sum_of_warp(sum_g) / A(C), mean_gn = sum_of_warp(sum_gn) / A(C);
  for (int c = lane * n; c < C; c += 32 * n) {
    const auto values = load_pack<n>(x + c);
    const auto grads = load_pack<n>(dy + c);
    Pack<X, n> out;
    for (int i = 0; i < n; ++i) {
      const A normal = (A(values.at[i]) - center) * factor;
      out.at[i] = X(factor * (A(grads.at[i]) * in.w[c + i] - mean_g - normal * mean_gn));
    }
    store_pack<n>(in.dx + row * C + c, out);
  }
}

// Adds dy n and dy of a thread's columns, over `count` rows from `first` on, to the block's sums.
template <int n, class X, class Y, class A>
__device__ void add_column_grads(const Backward<X, Y, A>& in, int64_t first, int count, A* dw,
                                 A* db) {
  for (int c = int(threadIdx.x) * n; c < in.C; c += threads * n) {
    A w_sum[n] = {}, b_sum[n] = {};
    for (int r = 0; r < count; ++r) {
      const int64_t row = first + r;
      const auto values = load_pack<n>(in.x + row * in.C + c);
      const auto grads = load_pack<n>(in.dy + row * in.C + c);
      const A center = in.mean[row], factor = in.rstd[row];
      for (int i = 0; i < n; ++i) {
        w_sum[i] += A(grads.at[i]) * (A(values.at[i]) - center) * factor;
        b_sum[i] += A(grads.at[i]);
      }
    }
    for (int i = 0; i < n; ++i) {
      dw[c + i] += w_sum[i];
      db[c + i] += b_sum[i];
    }
  }
}

// Eight rows at a time: a warp does a row's dx, then a thread its columns' sums over the rows,
// which are in the cache. A column's sum is its thread's alone, so nobody waits for anybody.
template <class X, class Y, class A, int n>
__global__ void __launch_bounds__(threads) grad_kernel(Backward<X, Y, A> in) {
  A *dw = &dynamic_shared<A>(), *db = dw + in.C;
  auto each_column = [&](auto&& f) {
    for (int c = int(threadIdx.x) * n; c < in.C; c += threads * n)
      for (int i = 0; i < n; ++i) f(c + i);
  };
  each_column([&](int c) { dw[c] = db[c] = 0; });
  for (int64_t first = int64_t(blockIdx.x) * warps; first < in.rows;
       first += int64_t(gridDim.x) * warps) {
    if (const int64_t row = first + threadIdx.x / 32; row < in.rows) row_grad<n>(in, row);
    const int64_t left = in.rows - first;
    add_column_grads<n>(in, first, left < warps ? int(left) : warps, dw, db);
  }
  A* to = in.sums + int64_t(blockIdx.x) * 2 * in.C;
  each_column([&](int c) {
    to[c] = dw[c];
    to[in.C + c] = db[c];
  });
}

template <class A>
__global__ void __launch_bounds__(threads)
    add_sums_kernel(const A* sums, int blocks, int C, A* dw, A* db) {
  const int c = int(blockIdx.x * threads + threadIdx.x);
  if (c >= C) return;
  A w_sum = 0, b_sum = 0;
  for (int block = 0; block < blocks; ++block) {
    w_sum += sums[int64_t(block) * 2 * C + c];
    b_sum += sums[int64_t(block) * 2 * C + C + c];
  }
  dw[c] += w_sum;
  if (db) db[c] += b_sum;
}

int64_t blocks_for(int64_t rows) { return std::min(most_blocks, (rows + warps - 1) / warps); }

// f(integral_constant<int, n>()): packs where rows are whole ones, else single elements; those
// alone for f64, which is for tests.
template <class X, class F>
void visit_pack(int C, F&& f) {
  constexpr int n = std::is_same_v<X, double> ? 1 : pack_size<X>;
  if (C % n == 0)
    f(std::integral_constant<int, n>());
  else
    f(std::integral_constant<int, 1>());
}

}  // namespace

template <class X, class Y, class A>
void layer_norm(const X* x, const A* w, const A* b, double eps, Y* y, A* mean, A* rstd,
                int64_t rows, int C, cudaStream_t stream) {
  visit_pack<X>(C, [&]<int n>(std::integral_constant<int, n>) {
    launch("layer_norm", forward_kernel<X, Y, A, n>,
           {unsigned((rows + warps - 1) / warps), threads}, stream, x, w, b, A(eps), y, mean, rstd,
           rows, C);
  });
}

int64_t layer_norm_grad_scratch(int64_t rows, int C) { return blocks_for(rows) * 2 * C; }

template <class X, class Y, class A>
void layer_norm_grad(const Y* dy, const X* x, const A* w, const A* mean, const A* rstd, X* dx,
                     A* dw, A* db, A* scratch, int64_t rows, int C, cudaStream_t stream) {
  const int64_t blocks = blocks_for(rows);
  const Backward<X, Y, A> arguments{dy, x, w, mean, rstd, dx, scratch, rows, C};
  visit_pack<X>(C, [&]<int n>(std::integral_constant<int, n>) {
    launch("layer_norm_grad", grad_kernel<X, Y, A, n>,
           {unsigned(blocks), threads, 2 * sizeof(A) * size_t(C)}, stream, arguments);
  });
  launch("layer_norm_grad's sums", add_sums_kernel<A>,
         {unsigned((C + threads - 1) / threads), threads}, stream, scratch, int(blocks), C, dw, db);
}

template void layer_norm(const double*, const double*, const double*, double, double*, double*,
                         double*, int64_t, int, cudaStream_t);
template void layer_norm_grad(const double*, const double*, const double*, const double*,
                              const double*, double*, double*, double*, double*, int64_t, int,
                              cudaStream_t);
template void layer_norm(const float*, const float*, const float*, double, float*, float*, float*,
                         int64_t, int, cudaStream_t);
template void layer_norm_grad(const float*, const float*, const float*, const float*, const float*,
                              float*, float*, float*, float*, int64_t, int, cudaStream_t);
template void layer_norm(const float*, const float*, const float*, double, bfloat16*, float*,
                         float*, int64_t, int, cudaStream_t);
template void layer_norm_grad(const bfloat16*, const float*, const float*, const float*,
                              const float*, float*, float*, float*, float*, int64_t, int,
                              cudaStream_t);
template void layer_norm(const bfloat16*, const float*, const float*, double, bfloat16*, float*,
                         float*, int64_t, int, cudaStream_t);
template void layer_norm_grad(const bfloat16*, const bfloat16*, const float*, const float*,
                              const float*, bfloat16*, float*, float*, float*, int64_t, int,
                              cudaStream_t);

}  // namespace folio::cuda
