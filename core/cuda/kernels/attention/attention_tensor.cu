#include <cfloat>
#include <cmath>
#include <type_traits>

#include "core/cuda/kernels/attention/attention_tensor.h"
#include "core/cuda/kernels/attention/attention_tiles.h"

namespace folio::cuda {
namespace {

constexpr float log2_e = 1.4426950408889634f, ln_2 = 0.6931471805599453f;

struct Forward {
  const bfloat16* qkv;
  bfloat16* y;
  float* lse;
  AttentionSizes sizes;
  Dropout dropout;
  float scale;        // of scores, times log2 e
  float kept_factor;  // of probabilities
};

template <int width>
struct alignas(16) ForwardTiles {
  Tile<tile_rows, width> q, k, v;
};

__device__ float largest_of_row(float x) {
  x = fmaxf(x, __shfl_xor_sync(all_lanes, x, 1));
  return fmaxf(x, __shfl_xor_sync(all_lanes, x, 2));
}
__device__ float sum_of_row(float x) {
  x += __shfl_xor_sync(all_lanes, x, 1);
  return x + __shfl_xor_sync(all_lanes, x, 2);
}

// What a warp has of its 16 queries so far; a lane has two rows, of which four lanes share each.
template <int width>
struct Softmaxed {
  float out[width / 8][4] = {};                          // probabilities times values, undivided
  float largest[2] = {-FLT_MAX, -FLT_MAX}, sum[2] = {};  // of scores; the lane's part of the sum

  // Scores -> e^(score - largest), and what there is so far scaled for the new largest.
  __device__ void add(float (&scores)[8][4], float scale) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float now = largest[r];
#pragma unroll
      for (int j = 0; j < 8; ++j) now = fmaxf(now, fmaxf(scores[j][2 * r], scores[j][2 * r + 1]));
      now = largest_of_row(now);
      const float before = exp2_fast((largest[r] - now) * scale);
      largest[r] = now;
      sum[r] *= before;
#pragma unroll
      for (int j = 0; j < 8; ++j)
#pragma unroll
        for (int i = 2 * r; i < 2 * r + 2; ++i) {
          scores[j][i] = exp2_fast((scores[j][i] - now) * scale);
          sum[r] += scores[j][i];
        }
#pragma unroll
      for (int j = 0; j < width / 8; ++j) {
        out[j][2 * r] *= before;
        out[j][2 * r + 1] *= before;
      }
    }
  }
};

// 64 queries of a head a block, 16 a warp, over the keys that they see in tiles of 64: while scores
// are computed the values come, and while they are summed the next keys.
template <int width>
__global__ void __launch_bounds__(tile_threads) forward_kernel(Forward x) {
  auto& tiles = dynamic_shared<ForwardTiles<width>>();
  const AttentionSizes& s = x.sizes;
  const int head = int(blockIdx.x), last = int(gridDim.y - 1 - blockIdx.y);  // longest first
  const int lane = int(threadIdx.x) % 32, row = int(threadIdx.x) / 32 * 16;
  const int stride = s.columns(), query = last * tile_rows + row;
  const int begin = s.first_seen(last * tile_rows) / tile_rows;
  const bfloat16* keys = key_rows(x.qkv, s, head / s.shared());
  load_tile(tiles.q, query_rows(x.qkv, s, head), stride, last * tile_rows, s);
  load_tile(tiles.k, keys, stride, begin * tile_rows, s);
  commit_copies();
  Softmaxed<width> rows;
  for (int tile = begin; tile <= last; ++tile) {
    const int key = tile * tile_rows;
    wait_for_copies<0>();
    __syncthreads();
    load_tile(tiles.v, keys + s.KV * s.D, stride, key, s);
    commit_copies();
    float p[8][4] = {};
    multiply_rows(p, tiles.q, row, tiles.k);
    // The last tile holds keys behind some rows, the first ones those that some see no more.
    if (tile == last || (s.window > 0 && key + s.window < (last + 1) * tile_rows))
#pragma unroll
      for (int j = 0; j < 8; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          if (!s.sees(query + lane / 4 + i / 2 * 8, key + 8 * j + lane % 4 * 2 + i % 2))
            p[j][i] = -INFINITY;
    rows.add(p, x.scale);
    if (x.dropout.enabled()) {
      const KeptOfQueries kept(x.dropout, s, head, query, key);
#pragma unroll
      for (int j = 0; j < 8; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) p[j][i] = kept(j, i) ? p[j][i] * x.kept_factor : 0.0f;
    }
    wait_for_copies<0>();
    __syncthreads();
    if (tile < last) load_tile(tiles.k, keys, stride, key + tile_rows, s);
    commit_copies();
    multiply_sums(rows.out, p, tiles.v);
  }
  float factor[2];
  for (int r = 0; r < 2; ++r) {
    const float sum = sum_of_row(rows.sum[r]);
    const int t = query + lane / 4 + 8 * r;
    factor[r] = 1.0f / sum;
    if (lane % 4 == 0 && t < s.T)
      x.lse[int64_t(head) * s.T + t] = rows.largest[r] * x.scale * ln_2 + logf(sum);
  }
  store_rows(rows.out, factor, rows_of_warp(tiles.q), result_rows(x.y, s, head), s.C(), query, s);
}

}  // namespace

void tensor_attention(const bfloat16* qkv, bfloat16* y, float* lse, const AttentionSizes& sizes,
                      const Dropout& dropout, cudaStream_t stream) {
  const Forward arguments{
      qkv, y, lse, sizes, dropout, log2_e / std::sqrt(float(sizes.D)), float(dropout.scale())};
  const dim3 grid(unsigned(sizes.B * sizes.H), unsigned((sizes.T + tile_rows - 1) / tile_rows));
  visit_head_width(sizes.D, [&]<int width>(std::integral_constant<int, width>) {
    launch("attention", forward_kernel<width>, {grid, tile_threads, sizeof(ForwardTiles<width>)},
           stream, arguments);
  });
}

}  // namespace folio::cuda
