#include "core/cuda/kernels/attention/attention.h"

#include <type_traits>

#include "core/cuda/kernels/attention/attention_head.h"
#include "core/cuda/kernels/attention/attention_plain.h"
#include "core/cuda/kernels/attention/attention_tensor.h"

namespace folio::cuda {
namespace {

constexpr int rows_per_block = 4;

// delta[head][t] = sum of dy y over the row; a warp a row.
template <class E, class F>
__global__ void delta_kernel(const E* dy, const E* y, F* delta, AttentionSizes s) {
  const int64_t row = int64_t(blockIdx.x) * rows_per_block + threadIdx.x / 32;
  if (row >= int64_t(s.B) * s.H * s.T) return;
  const int head = int(row / s.T), lane = int(threadIdx.x) % 32;
  const int64_t first = row % s.T * s.C();
  const E *a = result_rows(dy, s, head) + first, *b = result_rows(y, s, head) + first;
  F sum = 0;
  for (int c = lane; c < s.D; c += 32) sum += F(a[c]) * F(b[c]);
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(all_lanes, sum, lanes);
  if (lane == 0) delta[row] = sum;
}

}  // namespace

template <class E, class F>
void attention(const E* qkv, E* y, F* lse, const AttentionSizes& sizes, const Dropout& dropout,
               cudaStream_t stream) {
  if constexpr (std::is_same_v<E, bfloat16>)
    if (runs_on_tensor_cores(sizes)) return tensor_attention(qkv, y, lse, sizes, dropout, stream);
  plain_attention(qkv, y, lse, sizes, dropout, stream);
}

template <class E, class F>
void attention_grad(const E* dy, const E* qkv, const E* y, const F* lse, F* delta, E* dqkv,
                    const AttentionSizes& sizes, const Dropout& dropout, cudaStream_t stream) {
  const int64_t rows = int64_t(sizes.B) * sizes.H * sizes.T;
  launch("attention_grad's delta", delta_kernel<E, F>,
         {unsigned((rows + rows_per_block - 1) / rows_per_block), 32 * rows_per_block}, stream, dy,
         y, delta, sizes);
  if constexpr (std::is_same_v<E, bfloat16>)
    if (runs_on_tensor_cores(sizes))
      return tensor_attention_grad(dy, qkv, lse, delta, dqkv, sizes, dropout, stream);
  plain_attention_grad(dy, qkv, lse, delta, dqkv, sizes, dropout, stream);
}

template void attention(const double*, double*, double*, const AttentionSizes&, const Dropout&,
                        cudaStream_t);
template void attention(const float*, float*, float*, const AttentionSizes&, const Dropout&,
                        cudaStream_t);
template void attention(const bfloat16*, bfloat16*, float*, const AttentionSizes&, const Dropout&,
                        cudaStream_t);
template void attention_grad(const double*, const double*, const double*, const double*, double*,
                             double*, const AttentionSizes&, const Dropout&, cudaStream_t);
template void attention_grad(const float*, const float*, const float*, const float*, float*, float*,
                             const AttentionSizes&, const Dropout&, cudaStream_t);
template void attention_grad(const bfloat16*, const bfloat16*, const bfloat16*, const float*,
                             float*, bfloat16*, const AttentionSizes&, const Dropout&,
                             cudaStream_t);

}  // namespace folio::cuda
