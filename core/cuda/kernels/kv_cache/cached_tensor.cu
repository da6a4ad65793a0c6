#include <type_traits>

#include "core/cuda/kernels/attention_tensor.h"
#include "core/cuda/kernels/attention_tiles.h"
#include "core/cuda/kernels/kv_cache/append.h"
#include "core/cuda/kernels/kv_cache/append_row.h"
#include "core/cuda/kernels/kv_cache/cached_kernels.h"
#include "core/cuda/kernels/kv_cache/cached_tiles.h"

namespace folio::cuda {
namespace {

template <int query_rows, int width>
struct alignas(16) CachedTiles {
  Tile<query_rows, width> q;
  Tile<chunk_keys, width> k, v;
  float scales[2][chunk_keys];  // of int8: the keys' and the values'
};

// 64 queries of a head a block, 16 a warp, over the chunks that they see: while scores are computed
// the values come, and while they are summed the next keys.
template <class S, int width>
__global__ void __launch_bounds__(tile_threads)
    walk_kernel(CachedCall<bfloat16, S, float> x, float scale) {
  auto& tiles = dynamic_shared<CachedTiles<tile_rows, width>>();
  const AttentionSizes& s = x.sizes.call;
  const int head = int(blockIdx.x), lane = int(threadIdx.x) % 32;
  const int first = int(gridDim.y - 1 - blockIdx.y) * tile_rows;  // the longest first
  const int row = int(threadIdx.x) / 32 * 16, query = first + row;
  const int position = x.positions[head / s.H];
  const int end = position + (s.T < first + tile_rows ? s.T : first + tile_rows);
  const int chunks = (end - 1) / chunk_keys + 1;
  const CachedLayer<S> cached = x.cache.head(head, x.sizes);

  RowsOfChunk<S, width, tile_threads> keys, values;
  auto begin_keys = [&](int chunk) {
    load_scales<S>(tiles.scales, cached.scale(chunk * chunk_keys, 0));
    keys.begin(tiles.k, cached.k, s.D, chunk * chunk_keys, end);
  };
  load_tile(tiles.q, head_rows(x.qkv, s, head, 3), 3 * s.C(), first, s);
  begin_keys(0);
  float out[width / 8][4] = {};
  Softmax<float> softmax[2];
  for (int chunk = 0; chunk < chunks; ++chunk) {
    keys.template finish<0>(tiles.k);
    __syncthreads();
    values.begin(tiles.v, cached.v, s.D, chunk * chunk_keys, end);
    const int seen = position + query + 1 - chunk * chunk_keys;  // keys, by the warp's first row
    const bool sees = query < s.T && seen + 15 > 0;
    float p[8][4] = {};
    Softmax<float>::Factors factors[2];
    if (sees) {
      float largest[2], sums[2];
      multiply_rows(p, tiles.q, row, tiles.k);
      softmax_of_chunk<std::is_same_v<S, int8_t>>(p, tiles.scales, scale, seen, largest, sums);
#pragma unroll
      for (int r = 0; r < 2; ++r)
        if (seen + lane / 4 + 8 * r > 0) factors[r] = softmax[r].add(largest[r], sums[r]);
    }
    values.template finish<0>(tiles.v);
    __syncthreads();
    if (chunk + 1 < chunks) begin_keys(chunk + 1);
    if (!sees) continue;
    const Weights weights(p, tiles.v, seen);
#pragma unroll
    for (int j = 0; j < width / 8; j += 2) {
      float of_chunk[2][4] = {};
      weigh_values(of_chunk, weights, tiles.v, 8 * j);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const int r = i % 4 / 2;
        float& to = out[j + i / 4][i % 4];
        if (seen + lane / 4 + 8 * r > 0) to = factors[r].merged(to, of_chunk[i / 4][i % 4]);
      }
    }
  }
  const float factor[2] = {1.0f / softmax[0].sum, 1.0f / softmax[1].sum};
  store_rows(out, factor, rows_of_warp(tiles.q), head_rows(x.y, s, head, 1), s.C(), query, s);
}

template <int width>
struct alignas(16) SplitTiles : CachedTiles<16, width> {
  float scores[16][chunk_keys + 8];  // so that rows begin in other banks
};

// Up to 16 queries of a head over one chunk a block, whose new keys and values it appends. A warp
// has the scores of 16 keys, and then, of all 64, a part of the values' columns.
template <class S, int width>
__global__ void __launch_bounds__(tile_threads)
    split_kernel(CachedCall<bfloat16, S, float> x, float scale) {
  auto& tiles = dynamic_shared<SplitTiles<width>>();
  const AttentionSizes& s = x.sizes.call;
  const int head = int(blockIdx.x), chunk = int(blockIdx.y), first = chunk * chunk_keys;
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, pair = lane % 4 * 2;
  const int position = x.positions[head / s.H], end = position + s.T;
  if (first >= end) return;
  const bfloat16* from = head_rows(x.qkv, s, head, 3);
  const CachedLayer<S> cached = x.cache.head(head, x.sizes);
  if (position < first + chunk_keys) {
    append_to_chunk(from, cached, s, position, chunk);
    __syncthreads();
  }
  RowsOfChunk<S, width, tile_threads> keys, values;
  load_tile(tiles.q, from, 3 * s.C(), 0, s);
  load_scales<S>(tiles.scales, cached.scale(first, 0));
  keys.begin(tiles.k, cached.k, s.D, first, end);
  values.begin(tiles.v, cached.v, s.D, first, end);
  keys.template finish<1>(tiles.k);
  __syncthreads();

  float of_warp[2][4] = {};
  multiply_rows(of_warp, tiles.q, 0, rows_of_warp(tiles.k));
#pragma unroll
  for (int j = 0; j < 2; ++j)
#pragma unroll
    for (int r = 0; r < 2; ++r)
      store_pack(&tiles.scores[lane / 4 + 8 * r][16 * warp + 8 * j + pair],
                 Pack<float, 2>{{of_warp[j][2 * r], of_warp[j][2 * r + 1]}});
  values.template finish<0>(tiles.v);
  __syncthreads();

  float p[8][4], largest[2], sums[2];
#pragma unroll
  for (int j = 0; j < 8; ++j)
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const auto two = load_pack<2>(&tiles.scores[lane / 4 + 8 * r][8 * j + pair]);
      p[j][2 * r] = two.at[0], p[j][2 * r + 1] = two.at[1];
    }
  const int seen = position + 1 - first;
  softmax_of_chunk<std::is_same_v<S, int8_t>>(p, tiles.scales, scale, seen, largest, sums);
  const Weights weights(p, tiles.v, seen);
  // What Softmax::add and Factors::merged make of the first chunk: itself.
  auto place = [&](int r) { return x.partials.place(x.sizes, head, lane / 4 + 8 * r, chunk); };
  auto is_kept = [&](int r) {
    const int t = lane / 4 + 8 * r;
    return t < s.T && seen + t > 0;
  };
#pragma unroll
  for (int r = 0; r < 2; ++r)
    if (warp == 0 && lane % 4 == 0 && is_kept(r))
      store_pack(x.partials.softmax + 2 * place(r), Pack<float, 2>{{largest[r], sums[r]}});
#pragma unroll
  for (int i = 0; i < (width + 63) / 64; ++i) {
    const int column = 64 * i + 16 * warp;
    if (column >= s.D) break;
    float of_chunk[2][4] = {};
    weigh_values(of_chunk, weights, tiles.v, column);
#pragma unroll
    for (int r = 0; r < 2; ++r)
#pragma unroll
      for (int j = 0; j < 2; ++j)
        if (is_kept(r) && column + 8 * j < s.D)
          store_pack(x.partials.out + place(r) * s.D + column + 8 * j + pair,
                     Pack<float, 2>{{of_chunk[j][2 * r], of_chunk[j][2 * r + 1]}});
  }
}

}  // namespace

template <class S>
void tensor_cached_attention(const CachedCall<bfloat16, S, float>& call, cudaStream_t stream) {
  const AttentionSizes& s = call.sizes.call;
  const unsigned heads(s.B * s.H);
  const float scale = log2_e<float> / std::sqrt(float(s.D));
  const bool splits = is_split(call.sizes);
  if (!splits) append_to_cache(call.qkv, call.cache, call.positions, call.sizes, stream);
  visit_head_width(s.D, [&]<int width>(std::integral_constant<int, width>) {
    if (splits)
      launch("attention_cached", split_kernel<S, width>,
             {{heads, unsigned(call.sizes.chunks)}, tile_threads, sizeof(SplitTiles<width>)},
             stream, call, scale);
    else
      launch("attention_cached", walk_kernel<S, width>,
             {{heads, unsigned((s.T - 1) / tile_rows + 1)},
              tile_threads,
              sizeof(CachedTiles<tile_rows, width>)},
             stream, call, scale);
  });
}

template void tensor_cached_attention(const CachedCall<bfloat16, bfloat16, float>&, cudaStream_t);
template void tensor_cached_attention(const CachedCall<bfloat16, int8_t, float>&, cudaStream_t);

}  // namespace folio::cuda
