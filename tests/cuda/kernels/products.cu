#include "core/cuda/ptx.h"
#include "tests/cuda/kernels/kernels.h"

namespace folio {
namespace {

using cuda::launch;
using cuda::load_matrices;
using cuda::multiply_add;

__device__ uint32_t pair_at(const bfloat16* x) { return uint32_t(x[1].bits) << 16 | x[0].bits; }

__global__ void packed_pairs_kernel(const float* x, int n, uint32_t* pairs) {
  const int i = int(blockIdx.x * 64 + threadIdx.x);
  if (i < n) pairs[i] = cuda::pack_bf16(x[2 * i], x[2 * i + 1]);
}

__global__ void powers_of_two_kernel(const float* x, int n, float* y) {
  const int i = int(blockIdx.x * 64 + threadIdx.x);
  if (i < n) y[i] = cuda::exp2_fast(x[i]);
}

// A tile of 16 x 8 a warp; its registers are filled element by element.
__global__ void product_kernel(const bfloat16* a, const bfloat16* b, float* c, int N, int K) {
  const int row = int(blockIdx.y * 16), column = int(blockIdx.x * 8);
  const int group = int(threadIdx.x / 4), pair = int(threadIdx.x % 4 * 2);
  float sums[4] = {};
  for (int k = 0; k < K; k += 16) {
    const bfloat16* a_at = a + (row + group) * K + k + pair;
    const bfloat16* b_at = b + (column + group) * K + k + pair;
    const uint32_t a_pairs[4] = {pair_at(a_at), pair_at(a_at + 8 * K), pair_at(a_at + 8),
                                 pair_at(a_at + 8 * K + 8)};
    const uint32_t b_pairs[2] = {pair_at(b_at), pair_at(b_at + 8)};
    multiply_add(sums, a_pairs, b_pairs);
  }
  float* to = c + (row + group) * N + column + pair;
  to[0] = sums[0];
  to[1] = sums[1];
  to[8 * N] = sums[2];
  to[8 * N + 1] = sums[3];
}

__device__ uint32_t four_at(const int8_t* x) {
  uint32_t four = 0;
  for (int i = 0; i < 4; ++i) four |= uint32_t(uint8_t(x[i])) << 8 * i;
  return four;
}

__global__ void integer_product_kernel(const int8_t* a, const int8_t* b, int32_t* c, int N, int K) {
  const int row = int(blockIdx.y * 16), column = int(blockIdx.x * 8);
  const int group = int(threadIdx.x / 4), pair = int(threadIdx.x % 4 * 2);
  int32_t sums[4] = {};
  for (int k = 0; k < K; k += 32) {
    const int8_t* a_at = a + (row + group) * K + k + 2 * pair;
    const int8_t* b_at = b + (column + group) * K + k + 2 * pair;
    const uint32_t a_bytes[4] = {four_at(a_at), four_at(a_at + 8 * K), four_at(a_at + 16),
                                 four_at(a_at + 8 * K + 16)};
    multiply_add(sums, a_bytes, {four_at(b_at), four_at(b_at + 16)});
  }
  int32_t* to = c + (row + group) * N + column + pair;
  to[0] = sums[0];
  to[1] = sums[1];
  to[8 * N] = sums[2];
  to[8 * N + 1] = sums[3];
}

// Rows of 16 elements, 48 bytes apart.
struct Buffers {
  bfloat16 a[2][32][24], b[2][16][24];
};

// A tile of 32 x 16 a block of two warps, each of which has 16 rows.
__global__ void buffered_product_kernel(const bfloat16* a, const bfloat16* b, float* c, int N,
                                        int K, Fault fault) {
  auto& buffers = cuda::dynamic_shared<Buffers>();
  const int row = int(blockIdx.y * 32), column = int(blockIdx.x * 16), thread = int(threadIdx.x);
  const int lane = thread % 32, warp = thread / 32;
  auto fill = [&](int k) {
    auto& to_a = buffers.a[k / 16 % 2];
    auto& to_b = buffers.b[k / 16 % 2];
    const int r = thread / 2, half = thread % 2 * 8;
    cuda::copy_async(&to_a[r][half], a + (row + r) * K + k + half, true);
    if (r < 16) cuda::copy_async(&to_b[r][half], b + (k + r) * N + column + half, true);
  };
  float sums[2][4] = {};
  fill(0);
  cuda::commit_copies();
  for (int k = 0; k < K; k += 16) {
    if (k + 16 < K) fill(k + 16);
    cuda::commit_copies();
    if (fault != Fault::missing_copy_wait) cuda::wait_for_copies<1>();
    __syncthreads();
    uint32_t a_pairs[4], b_pairs[4];
    load_matrices<false>(a_pairs, &buffers.a[k / 16 % 2][warp * 16 + lane % 16][lane / 16 * 8]);
    load_matrices<true>(b_pairs, &buffers.b[k / 16 % 2][lane % 16][lane / 16 * 8]);
    multiply_add(sums[0], a_pairs, {b_pairs[0], b_pairs[1]});
    multiply_add(sums[1], a_pairs, {b_pairs[2], b_pairs[3]});
    if (fault != Fault::missing_barrier) __syncthreads();  // the next fill is of this buffer
  }
  for (int half = 0; half < 2; ++half)
    for (int i = 0; i < 4; ++i) {
      const int r = row + warp * 16 + lane / 4 + i / 2 * 8;
      c[r * N + column + half * 8 + lane % 4 * 2 + i % 2] = sums[half][i];
    }
}

}  // namespace

void packed_pairs(const float* x, int n, uint32_t* pairs, cudaStream_t stream) {
  launch("packed_pairs", packed_pairs_kernel, {unsigned(n + 63) / 64, 64}, stream, x, n, pairs);
}

void powers_of_two(const float* x, int n, float* y, cudaStream_t stream) {
  launch("powers_of_two", powers_of_two_kernel, {unsigned(n + 63) / 64, 64}, stream, x, n, y);
}

void product(const bfloat16* a, const bfloat16* b, float* c, int M, int N, int K,
             cudaStream_t stream) {
  launch("product", product_kernel, {dim3(unsigned(N / 8), unsigned(M / 16)), 32}, stream, a, b, c,
         N, K);
}

void integer_product(const int8_t* a, const int8_t* b, int32_t* c, int M, int N, int K,
                     cudaStream_t stream) {
  launch("integer_product", integer_product_kernel, {dim3(unsigned(N / 8), unsigned(M / 16)), 32},
         stream, a, b, c, N, K);
}

void buffered_product(const bfloat16* a, const bfloat16* b, float* c, int M, int N, int K,
                      Fault fault, cudaStream_t stream) {
  launch("buffered_product", buffered_product_kernel,
         {dim3(unsigned(N / 16), unsigned(M / 32)), 64, sizeof(Buffers)}, stream, a, b, c, N, K,
         fault);
}

}  // namespace folio
