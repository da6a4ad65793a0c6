#include "core/cuda/kernels/attention/attention_plain.h"

#include "core/cuda/kernels/attention/attention_plain_tiles.h"

namespace folio::cuda {
namespace {

template <class F>
__device__ F largest_of_lanes(F x) {
  for (int lanes = 4; lanes > 0; lanes /= 2) x = std::fmax(x, __shfl_xor_sync(all_lanes, x, lanes));
  return x;
}
template <class F>
__device__ F sum_of_lanes(F x) {
  for (int lanes = 4; lanes > 0; lanes /= 2) x += __shfl_xor_sync(all_lanes, x, lanes);
  return x;
}

// `rows` queries of a head a block, over the keys that they see in tiles of as many.
template <class E, class F, int rows>
__global__ void __launch_bounds__(rows* lanes_per_row)
    forward_kernel(const E* qkv, E* y, F* lse, AttentionSizes s, Dropout dropout) {
  PlainTiles<F, rows> tiles(&dynamic_shared<F>(), s.D);
  F *q = tiles.take(), *k = tiles.take(), *v = tiles.take(), *out = tiles.take();
  F* scores = tiles.take_scores();
  const int width = tiles.width, head = int(blockIdx.x), first = int(blockIdx.y) * rows;
  const int row = int(threadIdx.x) / lanes_per_row, lane = int(threadIdx.x) % lanes_per_row;
  const int query = first + row, stride = s.columns();
  const E *keys = key_rows(qkv, s, head / s.shared()), *values = keys + s.KV * s.D;
  load_rows<rows>(q, width, query_rows(qkv, s, head), stride, first, s);
  for (int c = lane; c < s.D; c += lanes_per_row) out[row * width + c] = 0;
  F* mine = scores + row * (rows + 1);  // of this query: its eight lanes' alone
  const F scale = F(1) / std::sqrt(F(s.D));
  F largest = lowest_score<F>, sum = 0;
  for (int key = s.first_seen(first) / rows * rows; key < first + rows; key += rows) {
    __syncthreads();
    load_rows<rows>(k, width, keys, stride, key, s);
    load_rows<rows>(v, width, values, stride, key, s);
    __syncthreads();
    F now = largest;
    for (int j = lane; j < rows; j += lanes_per_row) {
      mine[j] =
          s.sees(query, key + j) ? dot(q + row * width, k + j * width, s.D) * scale : -F(INFINITY);
      now = std::fmax(now, mine[j]);
    }
    now = largest_of_lanes(now);
    const F before = std::exp(largest - now);
    largest = now;
    F added = 0;
    for (int j = lane; j < rows; j += lanes_per_row) {
      const F p = std::exp(mine[j] - now);
      added += p;
      mine[j] = p * dropout_factor<F>(dropout, s, head, query, key + j);
    }
    sum = sum * before + sum_of_lanes(added);
    __syncwarp();
    add_weighted_rows<rows>(out + row * width, before, mine, v, width, s.D);
  }
  if (query >= s.T) return;
  E* to = result_rows(y, s, head) + int64_t(query) * s.C();
  for (int c = lane; c < s.D; c += lanes_per_row) to[c] = E(out[row * width + c] / sum);
  if (lane == 0) lse[int64_t(head) * s.T + query] = largest + std::log(sum);
}

}  // namespace

template <class E, class F>
void plain_attention(const E* qkv, E* y, F* lse, const AttentionSizes& sizes,
                     const Dropout& dropout, cudaStream_t stream) {
  visit_plain_rows<F>(sizes.D, 4, 1, [&]<int rows>(std::integral_constant<int, rows>) {
    const dim3 grid(unsigned(sizes.B * sizes.H), unsigned((sizes.T + rows - 1) / rows));
    launch("attention", forward_kernel<E, F, rows>,
           {grid, rows * lanes_per_row, PlainTiles<F, rows>::bytes(sizes.D, 4, 1)}, stream, qkv, y,
           lse, sizes, dropout);
  });
}

template void plain_attention(const double*, double*, double*, const AttentionSizes&,
                              const Dropout&, cudaStream_t);
template void plain_attention(const float*, float*, float*, const AttentionSizes&, const Dropout&,
                              cudaStream_t);
template void plain_attention(const bfloat16*, bfloat16*, float*, const AttentionSizes&,
                              const Dropout&, cudaStream_t);

}  // namespace folio::cuda
