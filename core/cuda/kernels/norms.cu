#include "core/cuda/kernels/norms.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/cuda/kernels/pack.h"

namespace folio::cuda {
namespace {

constexpr int warps = 8, threads = warps * 32;
constexpr int64_t most_blocks = 512;  // of norm_grad: as many sums of dw and db as are added

// A warp's row. The variance is summed around the mean, which rms, whose `mean` is null, takes for
// 0; what one pass read is in the cache for the next.
template <int n, class X, class Y, class A>
__device__ void normalize_row(const X* x, const A* w, const A* b, A eps, Y* y, A* mean, A* rstd,
                              int C) {
  const int lane = int(threadIdx.x) % 32;
  A center = 0, squares = 0;
  if (mean) {
    A total = 0;
    for (int c = lane * n; c < C; c += 32 * n) {
      const auto values = load_pack<n>(x + c);
      for (int i = 0; i < n; ++i) total += A(values.at[i]);
    }
    center = sum_of_warp(total) / A(C);
  }
  for (int c = lane * n; c < C; c += 32 * n) {
    const auto values = load_pack<n>(x + c);
    for (int i = 0; i < n; ++i) squares += (A(values.at[i]) - center) * (A(values.at[i]) - center);
  }
  const A factor = A(1) / std::sqrt(sum_of_warp(squares) / A(C) + eps);
  for (int c = lane * n; c < C; c += 32 * n) {
    const auto values = load_pack<n>(x + c);
    Pack<Y, n> out;
    for (int i = 0; i < n; ++i)
      out.at[i] =
          Y((A(values.at[i]) - center) * factor * (w ? w[c + i] : A(1)) + (b ? b[c + i] : A(0)));
    store_pack<n>(y + c, out);
  }
  if (lane == 0) {
    if (mean) *mean = center;
    *rstd = factor;
  }
}

template <class X, class Y, class A, int n>
__global__ void __launch_bounds__(threads)
    forward_kernel(const X* x, const A* w, const A* b, A eps, Y* y, A* mean, A* rstd, int64_t rows,
                   int C) {
  const int64_t row = int64_t(blockIdx.x) * warps + threadIdx.x / 32;
  if (row >= rows) return;
  normalize_row<n>(x + row * C, w, b, eps, y + row * C, mean ? mean + row : nullptr, rstd + row, C);
}

// The sum stays in shared memory for the norm. A lane reads there what it wrote itself.
template <class X, class Y, class A, int n>
__global__ void __launch_bounds__(threads) add_forward_kernel(AddDropoutNorm<X, Y, A> in, A scale) {
  const int64_t row = int64_t(blockIdx.x) * warps + threadIdx.x / 32;
  if (row >= in.rows) return;
  const int C = in.C, lane = int(threadIdx.x) % 32;
  X* sum = &dynamic_shared<X>() + int(threadIdx.x) / 32 * C;
  for (int c = lane * n; c < C; c += 32 * n) {
    const int64_t i = row * C + c;
    const auto out = add_dropped<A>(load_pack<n>(in.residual + i), load_pack<n>(in.x + i),
                                    DropoutNumbers(in.dropout, i), 0, in.dropout.threshold, scale);
    store_pack<n>(sum + c, out);
    store_pack<n>(in.sum + i, out);
  }
  normalize_row<n>(sum, in.w, in.b, A(in.eps), in.y + row * C, in.mean ? in.mean + row : nullptr,
                   in.rstd + row, C);
}

// Where the gradient of the sum goes.
template <class X, class Y, class A>
struct AddDropoutGrad {
  X* dsum;
  bool adds;  // to what dsum holds
  Y* dx;      // null: none
  Dropout dropout;
  A scale;

  // Elements i to i + n.
  template <int n>
  __device__ void put(int64_t i, Pack<X, n> grad) const {
    if (adds) {
      const auto so_far = load_pack<n>(dsum + i);
      for (int j = 0; j < n; ++j) grad.at[j] = X(A(so_far.at[j]) + A(grad.at[j]));
    }
    store_pack<n>(dsum + i, grad);
    if (!dx) return;
    const auto dropped =
        add_dropped<A>(Pack<Y, n>{}, grad, DropoutNumbers(dropout, i), 0, dropout.threshold, scale);
    store_pack<n>(dx + i, dropped);
  }
};

template <class X, class Y, class A>
struct Backward {
  const Y* dy;
  const X* x;
  const A *w, *mean, *rstd;  // w and, for rms, mean may be null
  A* sums;                   // [blocks, 2, C]: of dw and db
  int64_t rows;
  int C;

  __device__ A center(int64_t row) const { return mean ? mean[row] : A(0); }
  __device__ A weight(int c) const { return w ? w[c] : A(1); }
};

// With n = (x - mean) rstd and g = dy w: put(c, pack of rstd (g - mean(g) - n mean(g n))) for the
// columns of a warp's row. Of rms, whose mean is 0, without mean(g).
template <int n, class X, class Y, class A, class F>
__device__ void row_grad(const Backward<X, Y, A>& in, int64_t row, F&& put) {
  const int lane = int(threadIdx.x) % 32, C = in.C;
  const X* x = in.x + row * C;
  const Y* dy = in.dy + row * C;
  const A center = in.center(row), factor = in.rstd[row];
  A sum_g = 0, sum_gn = 0;
  for (int c = lane * n; c < C; c += 32 * n) {
    const auto values = load_pack<n>(x + c);
    const auto grads = load_pack<n>(dy + c);
    for (int i = 0; i < n; ++i) {
      const A g = A(grads.at[i]) * in.weight(c + i);
      sum_g += g;
      sum_gn += g * (A(values.at[i]) - center) * factor;
    }
  }
  const A mean_g = in.mean ? sum_of_warp(sum_g) / A(C) : A(0);
  const A mean_gn = sum_of_warp(sum_gn) / A(C);
  for (int c = lane * n; c < C; c += 32 * n) {
    const auto values = load_pack<n>(x + c);
    const auto grads = load_pack<n>(dy + c);
    Pack<X, n> out;
    for (int i = 0; i < n; ++i) {
      const A normal = (A(values.at[i]) - center) * factor;
      out.at[i] = X(factor * (A(grads.at[i]) * in.weight(c + i) - mean_g - normal * mean_gn));
    }
    put(c, out);
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
      const A center = in.center(row), factor = in.rstd[row];
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

// Eight rows at a time: do_rows(first, count, dw, db) does those from `first` on and adds a
// thread's columns to the sums, which are nobody else's.
template <int n, class X, class Y, class A, class F>
__device__ void each_rows(const Backward<X, Y, A>& in, F&& do_rows) {
  A *dw = &dynamic_shared<A>(), *db = dw + in.C;
  auto each_column = [&](auto&& f) {
    for (int c = int(threadIdx.x) * n; c < in.C; c += threads * n)
      for (int i = 0; i < n; ++i) f(c + i);
  };
  each_column([&](int c) { dw[c] = db[c] = 0; });
  for (int64_t first = int64_t(blockIdx.x) * warps; first < in.rows;
       first += int64_t(gridDim.x) * warps) {
    const int64_t left = in.rows - first;
    do_rows(first, left < warps ? int(left) : warps, dw, db);
  }
  A* to = in.sums + int64_t(blockIdx.x) * 2 * in.C;
  each_column([&](int c) {
    to[c] = dw[c];
    to[in.C + c] = db[c];
  });
}

// A warp does a row's dx, then a thread its columns' sums over the rows, which are in the cache, so
// that nobody waits for anybody.
template <class X, class Y, class A, int n>
__global__ void __launch_bounds__(threads) grad_kernel(Backward<X, Y, A> in, X* dx) {
  each_rows<n>(in, [&](int64_t first, int count, A* dw, A* db) {
    const int warp = int(threadIdx.x) / 32;
    if (warp < count)
      row_grad<n>(in, first + warp, [&](int c, const auto& grad) {
        store_pack<n>(dx + (first + warp) * in.C + c, grad);
      });
    add_column_grads<n>(in, first, count, dw, db);
  });
}

// The same with the rows in shared memory, behind the sums, from where all warps read them.
template <class X, class Y, class A, int n>
__global__ void __launch_bounds__(threads)
    add_grad_kernel(Backward<X, Y, A> in, AddDropoutGrad<X, Y, A> out) {
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, C = in.C;
  X* x = reinterpret_cast<X*>(&dynamic_shared<A>() + 2 * C);  // [warps, C]
  Y* dy = reinterpret_cast<Y*>(x + warps * C);                // [warps, C]
  each_rows<n>(in, [&](int64_t first, int count, A* dw, A* db) {
    Backward<X, Y, A> rows = in;
    rows.x = x, rows.dy = dy, rows.rstd += first;
    if (rows.mean) rows.mean += first;
    if (warp < count) {
      const int64_t row = (first + warp) * C;
      for (int c = lane * n; c < C; c += 32 * n) {
        store_pack<n>(x + warp * C + c, load_pack<n>(in.x + row + c));
        store_pack<n>(dy + warp * C + c, load_pack<n>(in.dy + row + c));
      }
      row_grad<n>(rows, warp, [&](int c, Pack<X, n> grad) { out.put(row + c, grad); });
    }
    __syncthreads();
    add_column_grads<n>(rows, 0, count, dw, db);
    __syncthreads();
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
  if (dw) dw[c] += w_sum;
  if (db) db[c] += b_sum;
}

template <class A>
void add_sums(const A* sums, int64_t blocks, int C, A* dw, A* db, cudaStream_t stream) {
  launch("norm_grad's sums", add_sums_kernel<A>, {unsigned((C + threads - 1) / threads), threads},
         stream, sums, int(blocks), C, dw, db);
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
void norm(const X* x, const A* w, const A* b, double eps, Y* y, A* mean, A* rstd, int64_t rows,
          int C, cudaStream_t stream) {
  visit_pack<X>(C, [&]<int n>(std::integral_constant<int, n>) {
    launch("norm", forward_kernel<X, Y, A, n>, {unsigned((rows + warps - 1) / warps), threads},
           stream, x, w, b, A(eps), y, mean, rstd, rows, C);
  });
}

template <class X, class Y, class A>
void add_dropout_norm(const AddDropoutNorm<X, Y, A>& arguments, cudaStream_t stream) {
  visit_pack<X>(arguments.C, [&]<int n>(std::integral_constant<int, n>) {
    launch("add_dropout_norm", add_forward_kernel<X, Y, A, n>,
           {unsigned((arguments.rows + warps - 1) / warps), threads,
            warps * sizeof(X) * size_t(arguments.C)},
           stream, arguments, A(arguments.dropout.scale()));
  });
}

int64_t norm_grad_scratch(int64_t rows, int C) { return blocks_for(rows) * 2 * C; }

template <class X, class Y, class A>
void norm_grad(const Y* dy, const X* x, const A* w, const A* mean, const A* rstd, X* dx, A* dw,
               A* db, A* scratch, int64_t rows, int C, cudaStream_t stream) {
  const int64_t blocks = blocks_for(rows);
  const Backward<X, Y, A> arguments{dy, x, w, mean, rstd, scratch, rows, C};
  visit_pack<X>(C, [&]<int n>(std::integral_constant<int, n>) {
    launch("norm_grad", grad_kernel<X, Y, A, n>,
           {unsigned(blocks), threads, 2 * sizeof(A) * size_t(C)}, stream, arguments, dx);
  });
  add_sums(scratch, blocks, C, dw, db, stream);
}

template <class X, class Y, class A>
void add_dropout_norm_grad(const Y* dy, const X* sum, const A* w, const A* mean, const A* rstd,
                           const Dropout& dropout, bool adds, X* dsum, Y* dx, A* dw, A* db,
                           A* scratch, int64_t rows, int C, cudaStream_t stream) {
  const int64_t blocks = blocks_for(rows);
  const Backward<X, Y, A> arguments{dy, sum, w, mean, rstd, scratch, rows, C};
  visit_pack<X>(C, [&]<int n>(std::integral_constant<int, n>) {
    launch("add_dropout_norm_grad", add_grad_kernel<X, Y, A, n>,
           {unsigned(blocks), threads, add_dropout_norm_shared<X, Y, A>(C)}, stream, arguments,
           AddDropoutGrad<X, Y, A>{dsum, adds, dx, dropout, A(dropout.scale())});
  });
  add_sums(scratch, blocks, C, dw, db, stream);
}

template void norm(const double*, const double*, const double*, double, double*, double*, double*,
                   int64_t, int, cudaStream_t);
template void norm_grad(const double*, const double*, const double*, const double*, const double*,
                        double*, double*, double*, double*, int64_t, int, cudaStream_t);
template void add_dropout_norm(const AddDropoutNorm<double, double, double>&, cudaStream_t);
template void add_dropout_norm_grad(const double*, const double*, const double*, const double*,
                                    const double*, const Dropout&, bool, double*, double*, double*,
                                    double*, double*, int64_t, int, cudaStream_t);
template void norm(const float*, const float*, const float*, double, float*, float*, float*,
                   int64_t, int, cudaStream_t);
template void norm_grad(const float*, const float*, const float*, const float*, const float*,
                        float*, float*, float*, float*, int64_t, int, cudaStream_t);
template void add_dropout_norm(const AddDropoutNorm<float, float, float>&, cudaStream_t);
template void add_dropout_norm_grad(const float*, const float*, const float*, const float*,
                                    const float*, const Dropout&, bool, float*, float*, float*,
                                    float*, float*, int64_t, int, cudaStream_t);
template void norm(const float*, const float*, const float*, double, bfloat16*, float*, float*,
                   int64_t, int, cudaStream_t);
template void norm_grad(const bfloat16*, const float*, const float*, const float*, const float*,
                        float*, float*, float*, float*, int64_t, int, cudaStream_t);
template void add_dropout_norm(const AddDropoutNorm<float, bfloat16, float>&, cudaStream_t);
template void add_dropout_norm_grad(const bfloat16*, const float*, const float*, const float*,
                                    const float*, const Dropout&, bool, float*, bfloat16*, float*,
                                    float*, float*, int64_t, int, cudaStream_t);
template void norm(const bfloat16*, const float*, const float*, double, bfloat16*, float*, float*,
                   int64_t, int, cudaStream_t);
template void norm_grad(const bfloat16*, const bfloat16*, const float*, const float*, const float*,
                        bfloat16*, float*, float*, float*, int64_t, int, cudaStream_t);
template void add_dropout_norm(const AddDropoutNorm<bfloat16, bfloat16, float>&, cudaStream_t);
template void add_dropout_norm_grad(const bfloat16*, const bfloat16*, const float*, const float*,
                                    const float*, const Dropout&, bool, bfloat16*, bfloat16*,
                                    float*, float*, float*, int64_t, int, cudaStream_t);

}  // namespace folio::cuda
