#pragma once
#include <string_view>

#include "core/cuda/gpu.h"
#include "core/cuda/ptx.h"
#include "core/cuda/stream.h"

namespace folio::cuda {

inline constexpr int each_threads = 256;

template <class F>
__global__ void __launch_bounds__(each_threads) each_kernel(int64_t n, F f) {
  after_previous_kernel();
  const int64_t i = int64_t(blockIdx.x) * each_threads + threadIdx.x;
  if (i < n) f(i);
}

// f(i) for i in [0, n), a thread each.
template <class F>
void each(std::string_view name, int64_t n, F f) {
  if (n == 0) return;
  launch_early(name, each_kernel<F>,
               {unsigned((n + each_threads - 1) / each_threads), each_threads}, stream(), n, f);
}

inline constexpr int rows_per_block = 8;

template <class F>
__global__ void __launch_bounds__(rows_per_block * 32) each_row_kernel(int64_t rows, F f) {
  after_previous_kernel();
  const int64_t row = int64_t(blockIdx.x) * rows_per_block + threadIdx.x / 32;
  if (row < rows) f(row, int(threadIdx.x) % 32);
}

// f(row, lane) for each row in [0, rows), by the 32 lanes of a warp.
template <class F>
void each_row(std::string_view name, int64_t rows, F f) {
  if (rows == 0) return;
  launch_early(name, each_row_kernel<F>,
               {unsigned((rows + rows_per_block - 1) / rows_per_block), rows_per_block * 32},
               stream(), rows, f);
}

}  // namespace folio::cuda
