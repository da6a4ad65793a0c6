#include <type_traits>

#include "core/cuda/kernels/attention_tensor.h"
#include "core/cuda/kernels/attention_tiles.h"
#include "core/cuda/kernels/kv_cache/append.h"
#include "core/cuda/kernels/kv_cache/append_row.h"
#include "core/cuda/kernels/kv_cache/cached_kernels.h"
#include "core/cuda/kernels/kv_cache/cached_tiles.h"

namespace folio::cuda {
namespace {

template <int width, int warps>
struct alignas(16) CachedTiles {
  Tile<16 * warps, width> q;
  Tile<chunk_keys, width> k, v;
  float scales[2][chunk_keys];  // of int8: the keys' and the values'
};

// 16 queries of a head a warp, over one chunk or, unless `splits`, all that they see: while scores
// are computed the values come, and while they are summed the next keys.
template <class S, int width, int warps, bool splits>
__global__ void __launch_bounds__(32 * warps)
    tensor_kernel(CachedCall<bfloat16, S, float> x, float scale) {
  constexpr int threads = 32 * warps;
  auto& tiles = dynamic_shared<CachedTiles<width, warps>>();
  const AttentionSizes& s = x.sizes.call;
  const int head = int(blockIdx.x), lane = int(threadIdx.x) % 32;
  const int block = splits ? 0 : int(gridDim.y - 1 - blockIdx.y);  // the longest first
  const int row = int(threadIdx.x) / 32 * 16, first = block * 16 * warps, query = first + row;
  const int position = x.positions[head / s.H];
  const int end = position + (s.T < first + 16 * warps ? s.T : first + 16 * warps);
  int chunk = splits ? int(blockIdx.y) : 0;
  const int past = splits ? chunk + 1 : (end - 1) / chunk_keys + 1;
  if (chunk * chunk_keys >= end) return;
  const bfloat16* from = head_rows(x.qkv, s, head, 3);
  const CachedLayer<S> cached = x.cache.head(head, x.sizes);
  if constexpr (splits) {
    append_to_chunk(from, cached, s, position, chunk);
    __syncthreads();
  }

  RowsOfChunk<S, width, threads> keys, values;
  auto begin_keys = [&] {
    load_scales<S>(tiles.scales, cached.scale(chunk * chunk_keys, 0));
    keys.begin(tiles.k, cached.k, s.D, chunk * chunk_keys, end);
  };
  auto begin_values = [&] { values.begin(tiles.v, cached.v, s.D, chunk * chunk_keys, end); };
  load_tile<threads>(tiles.q, from, 3 * s.C(), first, s);
  begin_keys();
  if constexpr (splits) begin_values();

  float out[width / 8][4] = {};
  Softmax<float> softmax[2];
  while (true) {
    keys.template finish<splits ? 1 : 0>(tiles.k);
    __syncthreads();
    if constexpr (!splits) begin_values();
    const int seen = position + query + 1 - chunk * chunk_keys;  // keys, by the warp's first row
    const bool sees = query < s.T && seen + 15 > 0;
    float p[8][4] = {}, sums[2], largest[2];
    if (sees) {
      multiply_rows(p, tiles.q, row, tiles.k);
      softmax_of_chunk<std::is_same_v<S, int8_t>>(p, tiles.scales, scale, seen, largest, sums);
    }
    values.template finish<0>(tiles.v);
    __syncthreads();
    const bool more = ++chunk < past;
    if (more) begin_keys();
    if (sees) {
      float of_chunk[width / 8][4] = {};
      weigh_values(of_chunk, p, tiles.v, seen);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        if (seen + lane / 4 + 8 * r <= 0) continue;
        const auto factors = softmax[r].add(largest[r], sums[r]);
#pragma unroll
        for (int j = 0; j < width / 8; ++j)
#pragma unroll
          for (int i = 2 * r; i < 2 * r + 2; ++i)
            out[j][i] = factors.merged(out[j][i], of_chunk[j][i]);
      }
    }
    if (!more) break;
  }

  if constexpr (splits) {
    for (int r = 0; r < 2; ++r) {
      const int t = lane / 4 + 8 * r;
      if (t >= s.T || position + t < (chunk - 1) * chunk_keys) continue;
      const int64_t place = x.partials.place(x.sizes, head, t, chunk - 1);
      if (lane % 4 == 0)
        store_pack(x.partials.softmax + 2 * place,
                   Pack<float, 2>{{softmax[r].largest, softmax[r].sum}});
#pragma unroll
      for (int j = 0; j < width / 8; ++j)
        if (8 * j < s.D)
          store_pack(x.partials.out + place * s.D + 8 * j + lane % 4 * 2,
                     Pack<float, 2>{{out[j][2 * r], out[j][2 * r + 1]}});
    }
  } else {
    const float factor[2] = {1.0f / softmax[0].sum, 1.0f / softmax[1].sum};
    store_rows(out, factor, rows_of_warp(tiles.q), head_rows(x.y, s, head, 1), s.C(), query, s);
  }
}

template <class S, int width, int warps, bool splits>
void launch_tensor(const CachedCall<bfloat16, S, float>& call, cudaStream_t stream) {
  const AttentionSizes& s = call.sizes.call;
  const dim3 grid(unsigned(s.B * s.H),
                  unsigned(splits ? call.sizes.chunks : (s.T - 1) / (16 * warps) + 1));
  launch("attention_cached", tensor_kernel<S, width, warps, splits>,
         {grid, 32 * warps, sizeof(CachedTiles<width, warps>)}, stream, call,
         log2_e<float> / std::sqrt(float(s.D)));
}

}  // namespace

template <class S>
void tensor_cached_attention(const CachedCall<bfloat16, S, float>& call, cudaStream_t stream) {
  const bool splits = is_split(call.sizes);
  if (!splits) append_to_cache(call.qkv, call.cache, call.positions, call.sizes, stream);
  visit_head_width(call.sizes.call.D, [&]<int width>(std::integral_constant<int, width>) {
    if (splits)
      launch_tensor<S, width, 1, true>(call, stream);
    else
      launch_tensor<S, width, 4, false>(call, stream);
  });
}

template void tensor_cached_attention(const CachedCall<bfloat16, bfloat16, float>&, cudaStream_t);
template void tensor_cached_attention(const CachedCall<bfloat16, int8_t, float>&, cudaStream_t);

}  // namespace folio::cuda
