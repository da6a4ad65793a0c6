#include <type_traits>

#include "core/cuda/kernels/attention/attention_tensor.h"
#include "core/cuda/kernels/attention/attention_tiles.h"
#include "core/cuda/kernels/kv_cache/append.h"
#include "core/cuda/kernels/kv_cache/append_row.h"
#include "core/cuda/kernels/kv_cache/cached_kernels.h"
#include "core/cuda/kernels/kv_cache/cached_tiles.h"
#include "core/cuda/ptx.h"

namespace folio::cuda {
namespace {

template <int query_rows, int width>
struct alignas(16) CachedTiles {
  Tile<query_rows, width> q;
  Tile<chunk_keys, width> k, v;
  float scales[2][chunk_keys];  // of int8: the keys' and the values'
};

// Begins to copy rows [first, first + n) of the queries that share keys; zeros behind the last.
template <int n, int width>
__device__ void load_queries(Tile<n, width>& to, const bfloat16* qkv, const CachedSizes& sizes,
                             int kv_head, int first) {
  const AttentionSizes& s = sizes.call;
  constexpr int pieces = width / 8;
  for (int i = int(threadIdx.x); i < n * pieces; i += tile_threads) {
    const int row = first + i / pieces, column = i % pieces * 8;
    const bool in_range = row < sizes.rows() && column < s.D;
    const bfloat16* from = qkv;
    if (in_range)
      from = query_rows(qkv, s, sizes.head_of(row, kv_head)) +
             int64_t(sizes.query_of(row)) * s.columns() + column;
    copy_async(&to[i / pieces][column], from, in_range);
  }
}

// 64 queries that share keys a block, 16 a warp, over the chunks that they see: while scores are
// computed the values come, and while they are summed the next keys.
template <class S, int width>
__global__ void __launch_bounds__(tile_threads)
    walk_kernel(CachedCall<bfloat16, S, float> x, float scale) {
  after_previous_kernel();
  auto& tiles = dynamic_shared<CachedTiles<tile_rows, width>>();
  const AttentionSizes& s = x.sizes.call;
  const int kv_head = int(blockIdx.x), rows = x.sizes.rows();
  const int first = int(gridDim.y - 1 - blockIdx.y) * tile_rows;  // the longest first
  const int row = int(threadIdx.x) / 32 * 16;
  const int position = x.positions[kv_head / s.KV];
  const int first_seen = s.first_seen(position + x.sizes.query_of(first));
  const int last = x.sizes.query_of((rows < first + tile_rows ? rows : first + tile_rows) - 1);
  const int end = position + last + 1;  // of what the rows see
  const int chunks = (end - 1) / chunk_keys + 1;
  const CachedLayer<S> cached = x.cache.head(kv_head, x.sizes);
  const Ends ends_of_all(x.sizes, position, first + row);

  RowsOfChunk<S, width, tile_threads> keys, values;
  auto begin_rows = [&](auto& part, auto& tile, const S* from, int chunk) {
    const int key = chunk * chunk_keys;
    part.begin(tile, from + int64_t(x.sizes.place(key)) * cached_width<S>(s.D), s.D,
               first_seen - key, end - key);
  };
  auto begin_keys = [&](int chunk) {
    const int key = chunk * chunk_keys;
    load_scales<S>(tiles.scales, cached.scale(x.sizes.place(key), 0), first_seen - key, end - key);
    begin_rows(keys, tiles.k, cached.k, chunk);
  };
  load_queries(tiles.q, x.qkv, x.sizes, kv_head, first);
  begin_keys(first_seen / chunk_keys);
  float out[width / 8][4] = {};
  Softmax<float> softmax[2];
  for (int chunk = first_seen / chunk_keys; chunk < chunks; ++chunk) {
    keys.template finish<0>(tiles.k);
    __syncthreads();
    begin_rows(values, tiles.v, cached.v, chunk);
    const Ends ends = ends_of_all.of_chunk(chunk * chunk_keys);
    const bool sees = first + row < rows && ends.any(0, chunk_keys);
    float p[8][4] = {};
    Softmax<float>::Factors factors[2];
    if (sees) {
      float largest[2], sums[2];
      multiply_rows(p, tiles.q, row, tiles.k);
      softmax_of_chunk<std::is_same_v<S, int8_t>>(p, tiles.scales, scale, ends, largest, sums);
#pragma unroll
      for (int r = 0; r < 2; ++r)
        if (ends.row_sees(r)) factors[r] = softmax[r].add(largest[r], sums[r]);
    }
    values.template finish<0>(tiles.v);
    __syncthreads();
    if (chunk + 1 < chunks) begin_keys(chunk + 1);
    if (!sees) continue;
    const Weights weights(p, tiles.v, ends);
#pragma unroll
    for (int j = 0; j < width / 8; j += 2) {
      float of_chunk[2][4] = {};
      weigh_values(of_chunk, weights, tiles.v, 8 * j);
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        const int r = i % 4 / 2;
        float& to = out[j + i / 4][i % 4];
        if (ends.row_sees(r)) to = factors[r].merged(to, of_chunk[i / 4][i % 4]);
      }
    }
  }
  const float factor[2] = {1.0f / softmax[0].sum, 1.0f / softmax[1].sum};
  store_rows(out, factor, rows_of_warp(tiles.q), s.D, [&](int r) -> bfloat16* {
    const int at = first + row + r;
    if (at >= rows) return nullptr;
    return result_rows(x.y, s, x.sizes.head_of(at, kv_head)) +
           int64_t(x.sizes.query_of(at)) * s.C();
  });
}

constexpr int split_rows = 16;

template <int width>
struct alignas(16) SplitTiles : CachedTiles<split_rows, width> {
  float scores[split_rows][chunk_keys + 8];  // so that rows begin in other banks
};

// Up to 16 queries that share keys over one chunk a block, whose new keys and values it appends if
// it has all queries of the call. A warp has the scores of 16 keys, and then, of all 64, a part of
// the values' columns.
template <class S, int width>
__global__ void __launch_bounds__(tile_threads)
    split_kernel(CachedCall<bfloat16, S, float> x, float scale) {
  after_previous_kernel();
  auto& tiles = dynamic_shared<SplitTiles<width>>();
  const AttentionSizes& s = x.sizes.call;
  const int kv_head = int(blockIdx.x), first_row = int(blockIdx.z) * split_rows;
  const int warp = int(threadIdx.x) / 32, lane = int(threadIdx.x) % 32, pair = lane % 4 * 2;
  const int position = x.positions[kv_head / s.KV];
  const int chunk = x.sizes.first_chunk(position) + int(blockIdx.y), first = chunk * chunk_keys;
  const int first_seen = s.first_seen(position + x.sizes.query_of(first_row));
  const int end = position + s.T;
  if (first >= end) return;
  const CachedLayer<S> cached = x.cache.head(kv_head, x.sizes);
  if (gridDim.z == 1 && position < first + chunk_keys) {
    append_to_chunk(key_rows(x.qkv, s, kv_head), cached, x.sizes, position, chunk);
    __syncthreads();
  }
  RowsOfChunk<S, width, tile_threads> keys, values;
  const int place = x.sizes.place(first);
  const int64_t memory = int64_t(place) * cached_width<S>(s.D);
  load_queries(tiles.q, x.qkv, x.sizes, kv_head, first_row);
  load_scales<S>(tiles.scales, cached.scale(place, 0), first_seen - first, end - first);
  keys.begin(tiles.k, cached.k + memory, s.D, first_seen - first, end - first);
  values.begin(tiles.v, cached.v + memory, s.D, first_seen - first, end - first);
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
  const Ends ends = Ends(x.sizes, position, first_row).of_chunk(first);
  softmax_of_chunk<std::is_same_v<S, int8_t>>(p, tiles.scales, scale, ends, largest, sums);
  const Weights weights(p, tiles.v, ends);
  // What Softmax::add and Factors::merged make of the first chunk: itself.
  auto partial = [&](int r) {
    const int row = first_row + lane / 4 + 8 * r;
    return x.partials.place(x.sizes, x.sizes.head_of(row, kv_head), x.sizes.query_of(row),
                            int(blockIdx.y));
  };
  auto is_kept = [&](int r) {
    return first_row + lane / 4 + 8 * r < x.sizes.rows() && ends.row_sees(r);
  };
#pragma unroll
  for (int r = 0; r < 2; ++r)
    if (warp == 0 && lane % 4 == 0 && is_kept(r))
      store_pack(x.partials.softmax + 2 * partial(r), Pack<float, 2>{{largest[r], sums[r]}});
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
          store_pack(x.partials.out + partial(r) * s.D + column + 8 * j + pair,
                     Pack<float, 2>{{of_chunk[j][2 * r], of_chunk[j][2 * r + 1]}});
  }
}

}  // namespace

template <class S>
void tensor_cached_attention(const CachedCall<bfloat16, S, float>& call, cudaStream_t stream) {
  const AttentionSizes& s = call.sizes.call;
  const unsigned heads(s.B * s.KV);
  const int rows = call.sizes.rows();
  const float scale = log2_e<float> / std::sqrt(float(s.D));
  const bool splits = is_split(call.sizes);
  if (!splits || rows > split_rows)
    append_to_cache(call.qkv, call.cache, call.positions, call.sizes, stream);
  visit_head_width(s.D, [&]<int width>(std::integral_constant<int, width>) {
    if (splits)
      launch_early("attention_cached", split_kernel<S, width>,
                   {{heads, unsigned(call.sizes.parts()), unsigned((rows - 1) / split_rows + 1)},
                    tile_threads,
                    sizeof(SplitTiles<width>)},
                   stream, call, scale);
    else
      launch_early("attention_cached", walk_kernel<S, width>,
                   {{heads, unsigned((rows - 1) / tile_rows + 1)},
                    tile_threads,
                    sizeof(CachedTiles<tile_rows, width>)},
                   stream, call, scale);
  });
}

template void tensor_cached_attention(const CachedCall<bfloat16, bfloat16, float>&, cudaStream_t);
template void tensor_cached_attention(const CachedCall<bfloat16, int8_t, float>&, cudaStream_t);

}  // namespace folio::cuda
