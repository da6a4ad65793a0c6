#include "core/cuda/gpu.h"
#include "core/cuda/ptx.h"
#include "tests/cuda/kernels/kernels.h"

namespace folio {
namespace {

using cuda::all_lanes;
using cuda::launch;
using cuda::launch_early;

struct WarpSums {
  float sum[8];
};

__device__ float warp_sum(float x) {
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(all_lanes, x, lanes);
  return x;
}

__global__ void block_sums_kernel(const float* x, int n, float* sums, Fault fault) {
  auto& warps = cuda::shared<WarpSums>();
  const int i = int(blockIdx.x * 256 + threadIdx.x);
  float mine = warp_sum(i < n || fault == Fault::past_the_end ? x[i] : 0.0f);
  if (threadIdx.x % 32 == 0) warps.sum[threadIdx.x / 32] = mine;
  if (fault != Fault::missing_barrier) __syncthreads();
  if (threadIdx.x >= 32) return;
  mine = warp_sum(threadIdx.x < 8 ? warps.sum[threadIdx.x] : 0.0f);
  if (threadIdx.x == 0) sums[blockIdx.x] = mine;
}

struct Tile {
  float at[32][33];
};

__global__ void transposed_kernel(const float* x, int rows, int columns, float* y) {
  auto& tile = cuda::shared<Tile>();
  const int row = int(blockIdx.y * 32), column = int(blockIdx.x * 32), lane = int(threadIdx.x);
  for (int i = int(threadIdx.y); i < 32; i += 8)
    if (row + i < rows && column + lane < columns)
      tile.at[i][lane] = x[(row + i) * columns + column + lane];
  __syncthreads();
  for (int i = int(threadIdx.y); i < 32; i += 8)
    if (column + i < columns && row + lane < rows)
      y[(column + i) * rows + row + lane] = tile.at[lane][i];
}

struct WarpValues {
  float at[2][32];
};

__global__ void reversed_in_warps_kernel(const float* x, float* y, Fault fault) {
  auto& values = cuda::shared<WarpValues>().at[threadIdx.x / 32];
  const unsigned lane = threadIdx.x % 32, i = blockIdx.x * 64 + threadIdx.x;
  values[lane] = x[i];
  if (fault != Fault::missing_warp_barrier) __syncwarp();
  y[i] = values[31 - lane];
}

__global__ void sums_of_four_kernel(const float* x, int n, float* y, Fault fault) {
  if (fault != Fault::missing_wait || blockIdx.x == 0) cuda::after_previous_kernel();
  const int i = int(blockIdx.x * 64 + threadIdx.x);
  if (i >= n) return;
  const float4 v = reinterpret_cast<const float4*>(x)[i];
  y[i] = v.x + v.y + v.z + v.w;
}

__global__ void sum_all_kernel(const float* x, int n, float* sum, Fault fault) {
  if (fault == Fault::racing_sum) {
    if (int(threadIdx.x) < n) *sum += x[threadIdx.x];
    return;
  }
  float mine = 0;
  for (int i = int(threadIdx.x); i < n; i += 32) mine += x[i];
  mine = warp_sum(mine);
  if (threadIdx.x == 0) *sum += mine;
}

__global__ void exchanged_kernel(const float* x, float* y, Fault fault) {
  const bool odd = threadIdx.x % 2 == 1, last_warp = threadIdx.x >= 32;
  if (fault == Fault::unreached_barrier && last_warp) return;
  if (fault == Fault::missing_lanes && odd) return;
  const unsigned mask = fault == Fault::other_mask && odd ? 0xaaaaaaaau
                        : fault == Fault::absent_source   ? (odd ? 0xaaaaaaaau : 0x55555555u)
                                                          : all_lanes;
  if (fault == Fault::other_step && odd) {
    y[threadIdx.x] = float(__ballot_sync(mask, 1));
    return;
  }
  if (fault != Fault::absent_source || !odd)
    y[threadIdx.x] = __shfl_xor_sync(mask, x[threadIdx.x], 1);
  __syncthreads();
}

struct Huge {
  float at[13 << 10];
};

__global__ void use_shared_kernel(float* y, Fault fault) {
  if (fault == Fault::too_much_dynamic_shared) {
    y[0] = cuda::dynamic_shared<Huge>().at[0];
    return;
  }
#if defined(CUDA_EMULATOR)  // nvcc refuses it
  y[0] = cuda::shared<Huge>().at[0];
#endif
}

}  // namespace

void block_sums(const float* x, int n, float* sums, Fault fault, cudaStream_t stream) {
  launch("block_sums", block_sums_kernel, {unsigned(n + 255) / 256, 256}, stream, x, n, sums,
         fault);
}

void transposed(const float* x, int rows, int columns, float* y, cudaStream_t stream) {
  const dim3 grid(unsigned(columns + 31) / 32, unsigned(rows + 31) / 32);
  launch("transposed", transposed_kernel, {grid, dim3(32, 8)}, stream, x, rows, columns, y);
}

void reversed_in_warps(const float* x, int n, float* y, Fault fault, cudaStream_t stream) {
  launch("reversed_in_warps", reversed_in_warps_kernel, {unsigned(n) / 64, 64}, stream, x, y,
         fault);
}

void sums_of_four(const float* x, int n, float* y, Fault fault, cudaStream_t stream) {
  launch_early("sums_of_four", sums_of_four_kernel, {unsigned(n + 63) / 64, 64}, stream,
               x + (fault == Fault::misaligned ? 1 : 0), n, y, fault);
}

void sum_all(const float* x, int n, float* sum, Fault fault, cudaStream_t stream) {
  launch("sum_all", sum_all_kernel, {1, 32}, stream, x, n, sum, fault);
}

void exchanged(const float* x, float* y, Fault fault, cudaStream_t stream) {
  launch("exchanged", exchanged_kernel, {1, 64}, stream, x, y, fault);
}

void use_shared(float* y, Fault fault, cudaStream_t stream) {
  launch("use_shared", use_shared_kernel, {1, 1}, stream, y, fault);
}

}  // namespace folio
