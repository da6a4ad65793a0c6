#include "core/cuda/kernels/attention/attention_plain.h"
#include "core/cuda/kernels/attention/attention_plain_tiles.h"

// With P the probabilities and M the dropout's factors, both computed again:
//   dS = P (M dY V^T - delta)    dQ = dS K    dV = (P M)^T dY    dK = dS^T Q
// and the scale of the scores on dQ and dK.
namespace folio::cuda {
namespace {

template <class E, class F>
struct Backward {
  const E *dy, *qkv;
  const F *lse, *delta;
  E* dqkv;
  AttentionSizes sizes;
  Dropout dropout;
};

// P M and dS at one query and key.
template <class F>
struct Slopes {
  F kept, ds;
};
template <class E, class F>
__device__ Slopes<F> slopes_at(const Backward<E, F>& x, int head, int query, int key, F score,
                               F dp) {
  if (!x.sizes.sees(query, key) || query >= x.sizes.T) return {0, 0};
  const int64_t row = int64_t(head) * x.sizes.T + query;
  const F p = std::exp(score - x.lse[row]);
  const F factor = dropout_factor<F>(x.dropout, x.sizes, head, query, key);
  return {p * factor, p * (dp * factor - x.delta[row])};
}

template <class E, class F>
__device__ void store_row(const F* row, F scale, E* to, int D) {
  for (int c = int(threadIdx.x) % lanes_per_row; c < D; c += lanes_per_row)
    to[c] = E(row[c] * scale);
}

// `rows` queries a block, over the keys that they see.
template <class E, class F, int rows>
__global__ void __launch_bounds__(rows* lanes_per_row) queries_kernel(Backward<E, F> x) {
  const AttentionSizes& s = x.sizes;
  PlainTiles<F, rows> tiles(&dynamic_shared<F>(), s.D);
  F *q = tiles.take(), *dy = tiles.take(), *k = tiles.take(), *v = tiles.take(), *dq = tiles.take();
  F* slopes = tiles.take_scores();
  const int width = tiles.width, head = int(blockIdx.x), first = int(blockIdx.y) * rows;
  const int row = int(threadIdx.x) / lanes_per_row, lane = int(threadIdx.x) % lanes_per_row;
  const int stride = s.columns();
  const E *keys = key_rows(x.qkv, s, head / s.shared()), *values = keys + s.KV * s.D;
  load_rows<rows>(q, width, query_rows(x.qkv, s, head), stride, first, s);
  load_rows<rows>(dy, width, result_rows(x.dy, s, head), s.C(), first, s);
  for (int c = lane; c < s.D; c += lanes_per_row) dq[row * width + c] = 0;
  F* mine = slopes + row * (rows + 1);
  const F scale = F(1) / std::sqrt(F(s.D));
  for (int key = s.first_seen(first) / rows * rows; key < first + rows; key += rows) {
    __syncthreads();
    load_rows<rows>(k, width, keys, stride, key, s);
    load_rows<rows>(v, width, values, stride, key, s);
    __syncthreads();
    for (int j = lane; j < rows; j += lanes_per_row)
      mine[j] =
          slopes_at(x, head, first + row, key + j, dot(q + row * width, k + j * width, s.D) * scale,
                    dot(dy + row * width, v + j * width, s.D))
              .ds;
    __syncwarp();
    add_weighted_rows<rows>(dq + row * width, F(1), mine, k, width, s.D);
  }
  if (first + row < s.T)
    store_row(dq + row * width, scale, query_rows(x.dqkv, s, head) + int64_t(first + row) * stride,
              s.D);
}

// `rows` keys a block, over the queries that see them, a head after the other.
template <class E, class F, int rows>
__global__ void __launch_bounds__(rows* lanes_per_row) keys_kernel(Backward<E, F> x) {
  const AttentionSizes& s = x.sizes;
  PlainTiles<F, rows> tiles(&dynamic_shared<F>(), s.D);
  F *k = tiles.take(), *v = tiles.take(), *q = tiles.take(), *dy = tiles.take();
  F *dk = tiles.take(), *dv = tiles.take();
  F *kept = tiles.take_scores(), *slopes = tiles.take_scores();
  const int width = tiles.width, kv_head = int(blockIdx.x), first = int(blockIdx.y) * rows;
  const int row = int(threadIdx.x) / lanes_per_row, lane = int(threadIdx.x) % lanes_per_row;
  const int stride = s.columns(), end = s.past_seeing(first + rows - 1);
  const E* keys = key_rows(x.qkv, s, kv_head);
  load_rows<rows>(k, width, keys, stride, first, s);
  load_rows<rows>(v, width, keys + s.KV * s.D, stride, first, s);
  for (int c = lane; c < s.D; c += lanes_per_row) dk[row * width + c] = dv[row * width + c] = 0;
  F *my_kept = kept + row * (rows + 1), *my_slopes = slopes + row * (rows + 1);
  const F scale = F(1) / std::sqrt(F(s.D));
  for (int head = kv_head * s.shared(), query = first; head < (kv_head + 1) * s.shared();) {
    __syncthreads();
    load_rows<rows>(q, width, query_rows(x.qkv, s, head), stride, query, s);
    load_rows<rows>(dy, width, result_rows(x.dy, s, head), s.C(), query, s);
    __syncthreads();
    for (int i = lane; i < rows; i += lanes_per_row) {
      const Slopes<F> at = slopes_at(x, head, query + i, first + row,
                                     dot(q + i * width, k + row * width, s.D) * scale,
                                     dot(dy + i * width, v + row * width, s.D));
      my_kept[i] = at.kept;
      my_slopes[i] = at.ds;
    }
    __syncwarp();
    add_weighted_rows<rows>(dv + row * width, F(1), my_kept, dy, width, s.D);
    add_weighted_rows<rows>(dk + row * width, F(1), my_slopes, q, width, s.D);
    query += rows;
    if (query >= end) ++head, query = first;
  }
  if (first + row >= s.T) return;
  E* to = key_rows(x.dqkv, s, kv_head) + int64_t(first + row) * stride;
  store_row(dk + row * width, scale, to, s.D);
  store_row(dv + row * width, F(1), to + s.KV * s.D, s.D);
}

}  // namespace

template <class E, class F>
void plain_attention_grad(const E* dy, const E* qkv, const F* lse, const F* delta, E* dqkv,
                          const AttentionSizes& sizes, const Dropout& dropout,
                          cudaStream_t stream) {
  const Backward<E, F> arguments{dy, qkv, lse, delta, dqkv, sizes, dropout};
  visit_plain_rows<F>(sizes.D, 6, 2, [&]<int rows>(std::integral_constant<int, rows>) {
    const unsigned tiles((sizes.T + rows - 1) / rows), threads = rows * lanes_per_row;
    launch(
        "attention_grad of queries", queries_kernel<E, F, rows>,
        {{unsigned(sizes.B * sizes.H), tiles}, threads, PlainTiles<F, rows>::bytes(sizes.D, 5, 1)},
        stream, arguments);
    launch(
        "attention_grad of keys", keys_kernel<E, F, rows>,
        {{unsigned(sizes.B * sizes.KV), tiles}, threads, PlainTiles<F, rows>::bytes(sizes.D, 6, 2)},
        stream, arguments);
  });
}

template void plain_attention_grad(const double*, const double*, const double*, const double*,
                                   double*, const AttentionSizes&, const Dropout&, cudaStream_t);
template void plain_attention_grad(const float*, const float*, const float*, const float*, float*,
                                   const AttentionSizes&, const Dropout&, cudaStream_t);
template void plain_attention_grad(const bfloat16*, const bfloat16*, const float*, const float*,
                                   bfloat16*, const AttentionSizes&, const Dropout&, cudaStream_t);

}  // namespace folio::cuda
