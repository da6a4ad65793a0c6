#include <cmath>

#include "core/cuda/kernels/attention/attention_tensor.h"
#include "core/cuda/kernels/attention/attention_tiles.h"

// With P the probabilities and M the dropout's factors, both computed again:
//   dS = P (M dY V^T - delta)    dQ = dS K    dV = (P M)^T dY    dK = dS^T Q
// and the scale of the scores on dQ and dK. Tiles come in pairs: while one is used, the next comes.
namespace folio::cuda {
namespace {

constexpr float log2_e = 1.4426950408889634f;

struct Backward {
  const bfloat16 *dy, *qkv;
  const float *lse, *delta;
  bfloat16* dqkv;
  AttentionSizes sizes;
  Dropout dropout;
  float scale;        // of scores
  float kept_factor;  // of probabilities
};

template <int width>
struct alignas(16) QueriesTiles {
  Tile<tile_rows, width> q, dy, k[2], v[2];
};

// 64 queries of a head a block, 16 a warp, over the keys that they see in tiles of 64.
template <int width>
__global__ void __launch_bounds__(tile_threads) queries_kernel(Backward x) {
  auto& tiles = dynamic_shared<QueriesTiles<width>>();
  const AttentionSizes& s = x.sizes;
  const int head = int(blockIdx.x), last = int(gridDim.y - 1 - blockIdx.y);
  const int lane = int(threadIdx.x) % 32, row = int(threadIdx.x) / 32 * 16;
  const int stride = s.columns(), first = last * tile_rows, query = first + row;
  const int begin = s.first_seen(first) / tile_rows;
  const int first_of_all = s.first_seen(first + tile_rows - 1);  // that every row sees
  const bfloat16* keys = key_rows(x.qkv, s, head / s.shared());
  auto load = [&](int tile) {
    load_tile(tiles.k[tile % 2], keys, stride, tile * tile_rows, s);
    load_tile(tiles.v[tile % 2], keys + s.KV * s.D, stride, tile * tile_rows, s);
  };
  load_tile(tiles.q, query_rows(x.qkv, s, head), stride, first, s);
  load_tile(tiles.dy, result_rows(x.dy, s, head), s.C(), first, s);
  load(begin);
  commit_copies();
  float lse[2] = {}, delta[2] = {};
  for (int r = 0; r < 2; ++r)
    if (const int t = query + lane / 4 + 8 * r; t < s.T) {
      lse[r] = x.lse[int64_t(head) * s.T + t] * log2_e;
      delta[r] = x.delta[int64_t(head) * s.T + t];
    }
  float dq[width / 8][4] = {};
  for (int tile = begin; tile <= last; ++tile) {
    const int key = tile * tile_rows;
    const bool partly = tile == last || key < first_of_all;
    if (tile < last) load(tile + 1);
    commit_copies();
    wait_for_copies<1>();
    __syncthreads();
    float p[8][4] = {}, ds[8][4] = {};
    multiply_rows(p, tiles.q, row, tiles.k[tile % 2]);
    multiply_rows(ds, tiles.dy, row, tiles.v[tile % 2]);
    if (x.dropout.enabled()) {
      const KeptOfQueries kept(x.dropout, s, head, query, key);
#pragma unroll
      for (int j = 0; j < 8; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) ds[j][i] = kept(j, i) ? ds[j][i] * x.kept_factor : 0.0f;
    }
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const bool hidden =
            partly && !s.sees(query + lane / 4 + i / 2 * 8, key + 8 * j + lane % 4 * 2 + i % 2);
        const float probability = exp2_fast(p[j][i] * x.scale * log2_e - lse[i / 2]);
        ds[j][i] = hidden ? 0.0f : probability * (ds[j][i] - delta[i / 2]);
      }
    multiply_sums(dq, ds, tiles.k[tile % 2]);
    __syncthreads();
  }
  store_rows(dq, {x.scale, x.scale}, rows_of_warp(tiles.q), query_rows(x.dqkv, s, head), stride,
             query, s);
}

template <int width, int queries>
struct alignas(16) KeysTiles {
  Tile<tile_rows, width> k, v;
  Tile<queries, width> q[2], dy[2];
  float lse[2][queries], delta[2][queries];
};

// 64 keys of a head a block, 16 a warp, over the queries that see them, a head after the other.
template <int width, int queries>
__global__ void __launch_bounds__(tile_threads) keys_kernel(Backward x) {
  constexpr int n = queries / 8;
  auto& tiles = dynamic_shared<KeysTiles<width, queries>>();
  const AttentionSizes& s = x.sizes;
  const int kv_head = int(blockIdx.x), first = int(blockIdx.y) * tile_rows;
  const int lane = int(threadIdx.x) % 32, row = int(threadIdx.x) / 32 * 16, key = first + row;
  const int stride = s.columns(), end = s.past_seeing(first + tile_rows - 1);
  auto load = [&](int head, int query, int b) {
    load_tile(tiles.q[b], query_rows(x.qkv, s, head), stride, query, s);
    load_tile(tiles.dy[b], result_rows(x.dy, s, head), s.C(), query, s);
    const int i = int(threadIdx.x), t = query + i;
    if (i >= queries) return;
    const bool in_range = t < s.T;  // a query that is not there has no probabilities
    tiles.lse[b][i] = in_range ? x.lse[int64_t(head) * s.T + t] * log2_e : INFINITY;
    tiles.delta[b][i] = in_range ? x.delta[int64_t(head) * s.T + t] : 0.0f;
  };
  const int heads = (kv_head + 1) * s.shared();
  int head = kv_head * s.shared(), query = first;
  load_tile(tiles.k, key_rows(x.qkv, s, kv_head), stride, first, s);
  load_tile(tiles.v, key_rows(x.qkv, s, kv_head) + s.KV * s.D, stride, first, s);
  load(head, query, 0);
  commit_copies();
  float dk[width / 8][4] = {}, dv[width / 8][4] = {};
  for (int b = 0; head < heads; b = 1 - b) {
    int next_head = head, next = query + queries;
    if (next >= end) ++next_head, next = first;
    if (next_head < heads) load(next_head, next, 1 - b);
    commit_copies();
    wait_for_copies<1>();
    __syncthreads();
    float p[n][4] = {}, ds[n][4] = {};
    multiply_rows(p, tiles.k, row, tiles.q[b]);
    multiply_rows(ds, tiles.v, row, tiles.dy[b]);
    auto each = [&](auto&& kept) {
#pragma unroll
      for (int j = 0; j < n; ++j)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const int column = 8 * j + lane % 4 * 2 + i % 2;
          const bool hidden = !s.sees(query + column, key + lane / 4 + i / 2 * 8);
          const float factor = kept(j, i) ? x.kept_factor : 0.0f;
          const float probability =
              hidden ? 0.0f : exp2_fast(p[j][i] * x.scale * log2_e - tiles.lse[b][column]);
          p[j][i] = probability * factor;
          ds[j][i] = probability * (ds[j][i] * factor - tiles.delta[b][column]);
        }
    };
    if (x.dropout.enabled())
      each(KeptOfKeys<n>(x.dropout, s, head, query, key));
    else
      each([](int, int) { return true; });
    multiply_sums(dv, p, tiles.dy[b]);
    multiply_sums(dk, ds, tiles.q[b]);
    __syncthreads();
    head = next_head, query = next;
  }
  bfloat16* to = key_rows(x.dqkv, s, kv_head);
  store_rows(dk, {x.scale, x.scale}, rows_of_warp(tiles.k), to, stride, key, s);
  store_rows(dv, {1.0f, 1.0f}, rows_of_warp(tiles.v), to + s.KV * s.D, stride, key, s);
}

}  // namespace

void tensor_attention_grad(const bfloat16* dy, const bfloat16* qkv, const float* lse,
                           const float* delta, bfloat16* dqkv, const AttentionSizes& sizes,
                           const Dropout& dropout, cudaStream_t stream) {
  const Backward arguments{dy,
                           qkv,
                           lse,
                           delta,
                           dqkv,
                           sizes,
                           dropout,
                           1.0f / std::sqrt(float(sizes.D)),
                           float(dropout.scale())};
  const unsigned blocks((sizes.T + tile_rows - 1) / tile_rows);  // of a head
  visit_head_width(sizes.D, [&]<int width>(std::integral_constant<int, width>) {
    constexpr int queries = width > 64 ? 32 : 64;  // as many as the registers hold
    launch("attention_grad of queries", queries_kernel<width>,
           {{unsigned(sizes.B * sizes.H), blocks}, tile_threads, sizeof(QueriesTiles<width>)},
           stream, arguments);
    launch(
        "attention_grad of keys", keys_kernel<width, queries>,
        {{unsigned(sizes.B * sizes.KV), blocks}, tile_threads, sizeof(KeysTiles<width, queries>)},
        stream, arguments);
  });
}

}  // namespace folio::cuda
