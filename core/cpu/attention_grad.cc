#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/attention_grad.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file once per SIMD target.
#include "core/cpu/attention-inl.h"
#include "core/cpu/attention_dropout-inl.h"
#include "core/cpu/attention_grad.h"
#include "core/cpu/attention_math-inl.h"
#include "core/cpu/scratch.h"
#include "core/parallel.h"

// With S the scores, P the probabilities and M the dropout factors, which are computed again:
//   dV = (P M)^T dY    dS = P (M dY V^T - delta), delta = rowsum(dY Y)    dQ = dS K    dK = dS^T Q
// One thread does the whole of a head, so nothing is summed across threads.
HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace {

// One block of queries. Rows, stacks and Elements: see attention_math-inl.h.
template <class M, class F = typename M::Sum, class G = typename M::Element>
struct Queries {
  G *q, *dy;  // rows [query_block, width]
  G *q_stack, *dy_stack;
  G *q_transposed, *dy_transposed;            // the rows
  F* dq;                                      // [query_block, width], without the scale
  F *lse, *delta;                             // [query_block]
  int64_t begin = 0, count = 0, columns = 0;  // columns: count rounded up to whole vectors
};

// One head's keys and values, all [keys, width].
template <class M, class F = typename M::Sum, class G = typename M::Element>
struct Keys {
  G *k, *v;  // rows
  G* k_stack;
  F *dk, *dv;  // dk without the scale
};

// What 8 keys have with a block of queries, [8, query_block].
template <class M, class F = typename M::Sum, class G = typename M::Element>
struct KeyTile {
  F *scores, *dp;  // K Q^T, V dY^T
  G *p, *ds;       // rows of (P M)^T and dS^T; may lie where the scores and dp do
  G* ds_stack;     // of dS^T
};

// P^T M and dS^T from the scores and V dY^T, for keys [key, key + 8) and queries from `first` on.
template <class M, class F = typename M::Sum>
HWY_INLINE void probability_grads(const Queries<M>& queries, int64_t key, int64_t first, F scale,
                                  const AttentionDropout<F>& dropout, const KeyTile<M>& tile) {
  const Lanes<F> d;
  const int64_t lanes = hn::Lanes(d), row = query_block / M::group;
  const auto score_scale = hn::Set(d, scale);
  HWY_ALIGN F factors[8 * max_lanes];
  for (int64_t i = first; i < queries.columns; i += lanes) {
    const int64_t query = queries.begin + i;
    const auto lse = hn::LoadU(d, queries.lse + i), delta = hn::LoadU(d, queries.delta + i);
    const auto positions = hn::Iota(d, F(query));
    const bool masked = key + 7 > query;
    if (dropout.enabled()) dropout.factors(key, query, factors);
    // -> dS^T of key + r
    auto one_key = [&](int64_t r) HWY_ATTR {
      const auto score = hn::LoadU(d, tile.scores + r * query_block + i);
      auto p = exp_negative(d, hn::MulSub(score, score_scale, lse));
      auto dp = hn::LoadU(d, tile.dp + r * query_block + i);
      if (masked) p = hn::IfThenElseZero(hn::Le(hn::Set(d, F(key + r)), positions), p);
      auto kept = p;
      if (dropout.enabled()) {
        auto factor = hn::Load(d, factors + r * lanes);
        kept = hn::Mul(p, factor);
        dp = hn::Mul(dp, factor);
      }
      M::store_row(kept, tile.p + r * row, i);
      return hn::Mul(p, hn::Sub(dp, delta));
    };
    for (int64_t r = 0; r < 8; r += 2) {
      const auto even = one_key(r), odd = one_key(r + 1);
      M::store_stack(even, odd, tile.ds_stack, query_block, r, i);
      if constexpr (M::group > 1) {
        M::store_row(even, tile.ds + r * row, i);
        M::store_row(odd, tile.ds + (r + 1) * row, i);
      }
    }
  }
}

// Adds what one block of queries gives to the gradients of the keys before it, and to its own.
template <class M, class F = typename M::Sum>
void block_grads(const Queries<M>& queries, const Keys<M>& keys, int64_t D, int64_t width, F scale,
                 const AttentionDropout<F>& dropout) {
  using G = typename M::Element;
  constexpr int64_t group = M::group, line = query_block / group;
  HWY_ALIGN F scores[8 * query_block], dp[8 * query_block];
  HWY_ALIGN G p_rows[8 * line], ds_rows[8 * line], ds[query_block * line];  // ds: stack
  const int64_t end = queries.begin + queries.columns, row = width / group;
  const int64_t depth = (D + group - 1) / group;
  for (int64_t block = 0; block < end; block += query_block) {
    const int64_t block_end = std::min(block + query_block, end);
    for (int64_t key = block; key < block_end; key += 8) {
      const int64_t first = first_query<F>(key, queries.begin);
      const int64_t columns = queries.columns - first;
      KeyTile<M> tile{scores, dp, p_rows, ds_rows, ds + (key - block) * line};
      if constexpr (group == 1)
        tile = {scores, tile.ds_stack, scores, tile.ds_stack, tile.ds_stack};
      M::multiply({keys.k + key * row, row, 1}, queries.q_transposed + first, query_block,
                  tile.scores + first, query_block, columns, depth, false);
      M::multiply({keys.v + key * row, row, 1}, queries.dy_transposed + first, query_block,
                  tile.dp + first, query_block, columns, depth, false);
      probability_grads(queries, key, first, scale, dropout, tile);
      const int64_t pairs = first / group;
      M::multiply({tile.p + pairs, line, 1}, queries.dy_stack + pairs * width, width,
                  keys.dv + key * width, width, width, columns / group, true);
      M::multiply({tile.ds + pairs, line, 1}, queries.q_stack + pairs * width, width,
                  keys.dk + key * width, width, width, columns / group, true);
    }
    for (int64_t i = 0; i < queries.count; i += 8) {
      const int64_t past = std::min(block_end, queries.begin + i + 8) - block;
      M::multiply({ds + i, 1, query_block}, keys.k_stack + block / group * width, width,
                  queries.dq + i * width, width, width, past / group, block > 0);
    }
  }
}

// rowsum(dy y) and lse of a block's queries; zeros for those past the last.
template <class M, class E, class F>
void load_statistics(const Queries<M>& queries, const AttentionShape& s, const E* dy, const E* y,
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
template <class M, class E, class F = typename M::Sum>
void head_grads(const AttentionShape& s, int64_t head, const E* dy, const E* qkv, const E* y,
                const F* lse, E* dqkv, const Dropout& with_dropout) {
  using G = typename M::Element;
  const int64_t width = round_up(s.D, max_lanes), length = round_up(s.T, query_block);
  const int64_t stride = 3 * s.C(), of_keys = length * width, of_queries = query_block * width;
  const int64_t row = width / M::group;
  constexpr int copies = M::group > 1 ? 2 : 1;  // rows and stack, where they differ
  Scratch scratch((1 + copies) * Scratch::bytes_for<G>(length * row) +
                  2 * Scratch::bytes_for<F>(of_keys) +
                  (2 + 2 * copies) * Scratch::bytes_for<G>(query_block * row) +
                  Scratch::bytes_for<F>(of_queries) + 2 * Scratch::bytes_for<F>(query_block));
  auto elements = [&](int64_t n) { return scratch.take<G>(n * row); };
  auto stack = [&](G* rows, int64_t n) { return copies > 1 ? elements(n) : rows; };
  auto sums = [&](int64_t n) { return scratch.take<F>(n); };
  Keys<M> keys{elements(length), elements(length), nullptr, sums(of_keys), sums(of_keys)};
  keys.k_stack = stack(keys.k, length);
  Queries<M> queries{
      elements(query_block), elements(query_block), nullptr,          nullptr,
      elements(query_block), elements(query_block), sums(of_queries), sums(query_block),
      sums(query_block)};
  queries.q_stack = stack(queries.q, query_block);
  queries.dy_stack = stack(queries.dy, query_block);
  // As rows, and as a stack where that is another layout.
  auto load = [&](const E* from, int64_t from_stride, int64_t rows, G* to, G* to_stack,
                  int64_t padded) {
    M::load_rows(from, from_stride, rows, s.D, to, padded, width);
    if constexpr (copies > 1) M::load_stack(from, from_stride, rows, s.D, to_stack, padded, width);
  };
  load(qkv + s.C(), stride, s.T, keys.k, keys.k_stack, length);
  M::load_rows(qkv + 2 * s.C(), stride, s.T, s.D, keys.v, length, width);
  std::fill_n(keys.dk, of_keys, F(0));
  std::fill_n(keys.dv, of_keys, F(0));

  const AttentionDropout<F> dropout(with_dropout, head, s.T);
  for (queries.begin = 0; queries.begin < s.T; queries.begin += query_block) {
    queries.count = std::min(query_block, s.T - queries.begin);
    queries.columns = round_up(queries.count, max_lanes);
    load(qkv + queries.begin * stride, stride, queries.count, queries.q, queries.q_stack,
         query_block);
    load(dy + queries.begin * s.C(), s.C(), queries.count, queries.dy, queries.dy_stack,
         query_block);
    transpose(queries.q, query_block, row, query_block, queries.q_transposed);
    transpose(queries.dy, query_block, row, query_block, queries.dy_transposed);
    load_statistics(queries, s, dy, y, lse);
    block_grads(queries, keys, s.D, width, s.scale<F>(), dropout);
    for (int64_t i = 0; i < queries.count; ++i) {
      copy_scaled(queries.dq + i * width, s.D, s.scale<F>(), dqkv + (queries.begin + i) * stride);
    }
  }
  for (int64_t t = 0; t < s.T; ++t) {
    copy_scaled(keys.dk + t * width, s.D, s.scale<F>(), dqkv + t * stride + s.C());
    copy_scaled(keys.dv + t * width, s.D, F(1), dqkv + t * stride + 2 * s.C());
  }
}

template <class M, class E>
Array grads_of(const Array& dy, const Array& qkv, const Attended& forward, const AttentionShape& s,
               const Dropout& dropout) {
  Array dqkv(qkv.shape(), qkv.dtype(), qkv.device());
  parallel_for(s.B * s.H, [&](int64_t head) {
    const int64_t column = head % s.H * s.D, row = head / s.H * s.T;
    const int64_t packed = row * 3 * s.C() + column, at = row * s.C() + column;
    head_grads<M>(s, head, dy.data<E>() + at, qkv.data<E>() + packed, forward.y.data<E>() + at,
                  forward.lse.data<typename M::Sum>() + head * s.T, dqkv.data<E>() + packed,
                  dropout);
  });
  return dqkv;
}

Array attention_grad(const Array& dy, const Array& qkv, const Attended& forward, const Heads& heads,
                     const Dropout& dropout) {
  const AttentionShape s = AttentionShape::of(qkv, heads);
  return visit_math(qkv.dtype(), [&]<class M, class E>(M, E) {
    return grads_of<M, E>(dy, qkv, forward, s, dropout);
  });
}

}  // namespace
}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {

HWY_EXPORT(attention_grad);

Array cpu_attention_grad(const Array& dy, const Array& qkv, const Attended& forward,
                         const Heads& heads, const Dropout& dropout) {
  return HWY_DYNAMIC_DISPATCH(attention_grad)(dy, qkv, forward, heads, dropout);
}

}  // namespace folio
#endif
