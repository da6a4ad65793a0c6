#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/attention_grad.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file once per SIMD target.
#include "core/cpu/attention-inl.h"
#include "core/cpu/attention_dropout-inl.h"
#include "core/cpu/cpu_backend.h"
#include "core/cpu/parallel.h"
#include "core/cpu/scratch.h"

// With S the scores, P the probabilities and M the dropout factors, which are computed again:
//   dV = (P M)^T dY    dS = P (M dY V^T - delta), delta = rowsum(dY Y)    dQ = dS K    dK = dS^T Q
// One thread does the whole of a head, so nothing is summed across threads.
HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace {

// One block of queries; `q` is scaled, so that dK = dS^T q.
template <class F>
struct Queries {
  F *q, *dy;                                  // [query_block, width]
  F *q_transposed, *dy_transposed;            // [width, query_block]
  F* dq;                                      // [query_block, width], without the scale
  F *lse, *delta;                             // [query_block]
  int64_t begin = 0, count = 0, columns = 0;  // columns: count rounded up to whole vectors
};

// One head's keys and values, all [keys, width].
template <class F>
struct Keys {
  F *k, *v, *dk, *dv;
};

// P^T M in place of the scores, and dS^T in place of dY V^T, for keys [key, key + 8): both
// [8, query_block].
template <class F>
HWY_INLINE void probability_grads(const Queries<F>& queries, int64_t key, int64_t first,
                                  const AttentionDropout<F>& dropout, F* p_tile, F* ds_tile) {
  const Lanes<F> d;
  const int64_t lanes = hn::Lanes(d);
  HWY_ALIGN F factors[8 * max_lanes];
  for (int64_t i = first; i < queries.columns; i += lanes) {
    const int64_t query = queries.begin + i;
    const auto lse = hn::LoadU(d, queries.lse + i), delta = hn::LoadU(d, queries.delta + i);
    const auto positions = hn::Iota(d, F(query));
    const bool masked = key + 7 > query;
    if (dropout.enabled()) dropout.factors(key, query, factors);
    for (int64_t r = 0; r < 8; ++r) {
      F* p_at = p_tile + r * query_block + i;
      F* ds_at = ds_tile + r * query_block + i;
      auto p = exp_negative(d, hn::Sub(hn::LoadU(d, p_at), lse)), dp = hn::LoadU(d, ds_at);
      if (masked) p = hn::IfThenElseZero(hn::Le(hn::Set(d, F(key + r)), positions), p);
      auto kept = p;
      if (dropout.enabled()) {
        auto factor = hn::Load(d, factors + r * lanes);
        kept = hn::Mul(p, factor);
        dp = hn::Mul(dp, factor);
      }
      hn::StoreU(kept, d, p_at);
      hn::StoreU(hn::Mul(p, hn::Sub(dp, delta)), d, ds_at);
    }
  }
}

// Adds what one block of queries gives to the gradients of the keys before it, and to its own.
template <class F>
void block_grads(const Queries<F>& queries, const Keys<F>& keys, int64_t D, int64_t width,
                 const AttentionDropout<F>& dropout) {
  HWY_ALIGN F p[8 * query_block];
  HWY_ALIGN F ds[query_block * query_block];  // [keys, queries]
  const int64_t end = queries.begin + queries.columns;
  for (int64_t block = 0; block < end; block += query_block) {
    const int64_t block_end = std::min(block + query_block, end);
    for (int64_t key = block; key < block_end; key += 8) {
      const int64_t first = first_query<F>(key, queries.begin);
      const int64_t columns = queries.columns - first;
      F* ds_tile = ds + (key - block) * query_block;
      multiply_8(Broadcast<F>{keys.k + key * width, width, 1}, queries.q_transposed + first,
                 query_block, p + first, query_block, columns, D, false);
      multiply_8(Broadcast<F>{keys.v + key * width, width, 1}, queries.dy_transposed + first,
                 query_block, ds_tile + first, query_block, columns, D, false);
      probability_grads(queries, key, first, dropout, p, ds_tile);
      multiply_8(Broadcast<F>{p + first, query_block, 1}, queries.dy + first * width, width,
                 keys.dv + key * width, width, width, columns, true);
      multiply_8(Broadcast<F>{ds_tile + first, query_block, 1}, queries.q + first * width, width,
                 keys.dk + key * width, width, width, columns, true);
    }
    for (int64_t i = 0; i < queries.count; i += 8) {
      const int64_t past = std::min(block_end, queries.begin + i + 8) - block;
      multiply_8(Broadcast<F>{ds + i, 1, query_block}, keys.k + block * width, width,
                 queries.dq + i * width, width, width, past, block > 0);
    }
  }
}

// rowsum(dy y) and lse of a block's queries; zeros for those past the last.
template <class E, class F>
void load_statistics(const Queries<F>& queries, const AttentionShape& s, const E* dy, const E* y,
                     const F* lse) {
  for (int64_t i = 0; i < queries.columns; ++i) {
    F sum = 0;
    const int64_t row = (queries.begin + i) * s.C();
    for (int64_t c = 0; i < queries.count && c < s.D; ++c) sum += F(dy[row + c]) * F(y[row + c]);
    queries.delta[i] = sum;
    queries.lse[i] = i < queries.count ? lse[queries.begin + i] : F(0);
  }
}

// One head, every pointer at its first column of its sequence; lse [T].
template <class E>
void head_grads(const AttentionShape& s, int64_t head, const E* dy, const E* qkv, const E* y,
                const Compute<E>* lse, E* dqkv, const Dropout& with_dropout) {
  using F = Compute<E>;
  const int64_t width = round_up(s.D, max_lanes), length = round_up(s.T, query_block);
  const int64_t stride = 3 * s.C(), of_keys = length * width, of_queries = query_block * width;
  Scratch scratch(4 * Scratch::bytes_for<F>(of_keys) + 5 * Scratch::bytes_for<F>(of_queries) +
                  2 * Scratch::bytes_for<F>(query_block));
  auto of = [&](int64_t n) { return scratch.take<F>(n); };
  const Keys<F> keys{of(of_keys), of(of_keys), of(of_keys), of(of_keys)};
  Queries<F> queries{of(of_queries), of(of_queries),  of(of_queries), of(of_queries),
                     of(of_queries), of(query_block), of(query_block)};
  pack_rows(qkv + s.C(), stride, s.T, s.D, F(1), keys.k, length, width);
  pack_rows(qkv + 2 * s.C(), stride, s.T, s.D, F(1), keys.v, length, width);
  std::fill_n(keys.dk, of_keys, F(0));
  std::fill_n(keys.dv, of_keys, F(0));

  const AttentionDropout<F> dropout(with_dropout, head, s.T);
  for (queries.begin = 0; queries.begin < s.T; queries.begin += query_block) {
    queries.count = std::min(query_block, s.T - queries.begin);
    queries.columns = round_up(queries.count, max_lanes);
    pack_rows(qkv + queries.begin * stride, stride, queries.count, s.D, s.scale<F>(), queries.q,
              query_block, width);
    pack_rows(dy + queries.begin * s.C(), s.C(), queries.count, s.D, F(1), queries.dy, query_block,
              width);
    transpose(queries.q, query_block, width, query_block, queries.q_transposed);
    transpose(queries.dy, query_block, width, query_block, queries.dy_transposed);
    load_statistics(queries, s, dy, y, lse);
    block_grads(queries, keys, s.D, width, dropout);
    for (int64_t i = 0; i < queries.count; ++i) {
      copy_scaled(queries.dq + i * width, s.D, s.scale<F>(), dqkv + (queries.begin + i) * stride);
    }
  }
  for (int64_t t = 0; t < s.T; ++t) {
    copy_scaled(keys.dk + t * width, s.D, F(1), dqkv + t * stride + s.C());
    copy_scaled(keys.dv + t * width, s.D, F(1), dqkv + t * stride + 2 * s.C());
  }
}

template <class E>
Array grads_of(const Array& dy, const Array& qkv, const Attended& forward, const AttentionShape& s,
               const Dropout& dropout) {
  Array dqkv(qkv.shape(), qkv.dtype());
  parallel_for(s.B * s.H, [&](int64_t head) {
    const int64_t column = head % s.H * s.D, row = head / s.H * s.T;
    const int64_t packed = row * 3 * s.C() + column, at = row * s.C() + column;
    head_grads(s, head, dy.data<E>() + at, qkv.data<E>() + packed, forward.y.data<E>() + at,
               forward.lse.data<Compute<E>>() + head * s.T, dqkv.data<E>() + packed, dropout);
  });
  return dqkv;
}

Array attention_grad(const Array& dy, const Array& qkv, const Attended& forward, int64_t n_head,
                     const Dropout& dropout) {
  const AttentionShape s = AttentionShape::of(qkv, n_head);
  if (qkv.dtype() == DType::f64) return grads_of<double>(dy, qkv, forward, s, dropout);
  if (qkv.dtype() == DType::bf16) return grads_of<bfloat16>(dy, qkv, forward, s, dropout);
  return grads_of<float>(dy, qkv, forward, s, dropout);
}

}  // namespace
}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {

HWY_EXPORT(attention_grad);

Array CpuBackend::attention_grad(const Array& dy, const Array& qkv, const Attended& forward,
                                 int64_t n_head, const Dropout& dropout) {
  return HWY_DYNAMIC_DISPATCH(attention_grad)(dy, qkv, forward, n_head, dropout);
}

}  // namespace folio
#endif
