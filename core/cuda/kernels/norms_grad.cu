#include <algorithm>

#include "core/cuda/kernels/norm_rows.h"
#include "core/cuda/kernels/norms.h"

namespace folio::cuda {
namespace {

constexpr int warps = norm_warps, threads = norm_threads;
constexpr int64_t most_blocks = 512;  // as many sums of dw and db as are added

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
struct SumsOfWarps {
  A of[warps][32][2];
};

// 32 columns a block, a warp a part of the sums.
template <class A>
__global__ void __launch_bounds__(threads)
    add_sums_kernel(const A* sums, int blocks, int C, A* dw, A* db) {
  const int warp = int(threadIdx.x) / 32, lane = lane_of_warp(), c = int(blockIdx.x) * 32 + lane;
  auto& of_warps = shared<SumsOfWarps<A>>();
  A w_sum = 0, b_sum = 0;
  if (c < C) {
#pragma unroll 8
    for (int block = blocks * warp / warps; block < blocks * (warp + 1) / warps; ++block) {
      w_sum += sums[int64_t(block) * 2 * C + c];
      b_sum += sums[int64_t(block) * 2 * C + C + c];
    }
  }
  of_warps.of[warp][lane][0] = w_sum;
  of_warps.of[warp][lane][1] = b_sum;
  __syncthreads();
  if (warp != 0 || c >= C) return;
  for (int i = 1; i < warps; ++i) {
    w_sum += of_warps.of[i][lane][0];
    b_sum += of_warps.of[i][lane][1];
  }
  if (dw) dw[c] += w_sum;
  if (db) db[c] += b_sum;
}

template <class A>
void add_sums(const A* sums, int64_t blocks, int C, A* dw, A* db, cudaStream_t stream) {
  launch("norm_grad's sums", add_sums_kernel<A>, {unsigned((C + 31) / 32), threads}, stream, sums,
         int(blocks), C, dw, db);
}

int64_t blocks_for(int64_t rows) { return std::min(most_blocks, (rows + warps - 1) / warps); }

}  // namespace

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

template void norm_grad(const double*, const double*, const double*, const double*, const double*,
                        double*, double*, double*, double*, int64_t, int, cudaStream_t);
template void add_dropout_norm_grad(const double*, const double*, const double*, const double*,
                                    const double*, const Dropout&, bool, double*, double*, double*,
                                    double*, double*, int64_t, int, cudaStream_t);
template void norm_grad(const float*, const float*, const float*, const float*, const float*,
                        float*, float*, float*, float*, int64_t, int, cudaStream_t);
template void add_dropout_norm_grad(const float*, const float*, const float*, const float*,
                                    const float*, const Dropout&, bool, float*, float*, float*,
                                    float*, float*, int64_t, int, cudaStream_t);
template void norm_grad(const bfloat16*, const float*, const float*, const float*, const float*,
                        float*, float*, float*, float*, int64_t, int, cudaStream_t);
template void add_dropout_norm_grad(const bfloat16*, const float*, const float*, const float*,
                                    const float*, const Dropout&, bool, float*, bfloat16*, float*,
                                    float*, float*, int64_t, int, cudaStream_t);
template void norm_grad(const bfloat16*, const bfloat16*, const float*, const float*, const float*,
                        bfloat16*, float*, float*, float*, int64_t, int, cudaStream_t);
template void add_dropout_norm_grad(const bfloat16*, const bfloat16*, const float*, const float*,
                                    const float*, const Dropout&, bool, bfloat16*, bfloat16*,
                                    float*, float*, float*, int64_t, int, cudaStream_t);

}  // namespace folio::cuda
