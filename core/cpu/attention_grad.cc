#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/attention_grad.cc"
#include <hwy/foreach_target.h>

#include <optional>
// foreach_target.h comes first: it includes this file once per SIMD target.
#include "core/cpu/attention-inl.h"
#include "core/cpu/attention_dropout-inl.h"
#include "core/cpu/attention_grad.h"
#include "core/cpu/attention_math-inl.h"
#include "core/cpu/scratch.h"
#include "core/cpu/tiles/attention_tiles-inl.h"
#include "core/parallel.h"

// With S the scores, P the probabilities and M the dropout factors, which are computed again:
//   dV = (P M)^T dY    dS = P (M dY V^T - delta), delta = rowsum(dY Y)    dQ = dS K    dK = dS^T Q
// One thread does the whole of a head of keys, with every head of queries that reads it, so nothing
// is summed across threads.
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
  F* dq_transposed;                           // by tiles alone
  F *lse, *delta;                             // [query_block]
  int64_t begin = 0, count = 0, columns = 0;  // columns: count rounded up to whole vectors
};

// One head's keys and values, all [keys, width].
template <class M, class F = typename M::Sum, class G = typename M::Element>
struct Keys {
  G *k, *v;    // rows
  G* k_stack;  // or by tiles the transposed rows
  F *dk, *dv;  // dk without the scale
};

// What 8 keys have with a block of queries, [8, query_block].
template <class M, class F = typename M::Sum, class G = typename M::Element>
struct KeyTile {
  F *scores, *dp;  // K Q^T, V dY^T
  G *p, *ds;       // rows of (P M)^T and dS^T; may lie where the scores and dp do
  G* ds_stack;     // of dS^T
};

// P^T M and dS^T from the scores and V dY^T, for keys [key, key + 8) and queries [first, past).
template <class M, class F = typename M::Sum>
HWY_INLINE void probability_grads(const Queries<M>& queries, const AttentionShape& s, int64_t key,
                                  int64_t first, int64_t past, const AttentionDropout<F>& dropout,
                                  const KeyTile<M>& tile) {
  const Lanes<F> d;
  const int64_t lanes = hn::Lanes(d), row = query_block / M::group;
  const auto score_scale = hn::Set(d, s.scale<F>());
  const int64_t window = s.heads.window > 0 ? s.heads.window : s.T + query_block;
  HWY_ALIGN F factors[8 * max_lanes];
  for (int64_t i = first; i < past; i += lanes) {
    const int64_t query = queries.begin + i;
    const auto lse = hn::LoadU(d, queries.lse + i), delta = hn::LoadU(d, queries.delta + i);
    const auto positions = hn::Iota(d, F(query));
    const auto oldest = hn::Sub(positions, hn::Set(d, F(window)));
    const bool masked = key + 7 > query || key <= query + lanes - 1 - window;
    if (dropout.enabled()) dropout.factors(key, query, factors);
    // -> dS^T of key + r
    auto one_key = [&](int64_t r) HWY_ATTR {
      const auto score = hn::LoadU(d, tile.scores + r * query_block + i);
      auto p = exp_negative(d, hn::MulSub(score, score_scale, lse));
      auto dp = hn::LoadU(d, tile.dp + r * query_block + i);
      if (masked) {
        const auto at = hn::Set(d, F(key + r));
        p = hn::IfThenElseZero(hn::And(hn::Le(at, positions), hn::Gt(at, oldest)), p);
      }
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

// Zeros in the columns [first, past) of what a matrix unit reads.
template <class M>
HWY_INLINE void clear_columns(const KeyTile<M>& tile, int64_t first, int64_t past) {
  if (past <= first) return;
  constexpr int64_t line = query_block / M::group;
  for (int64_t r = 0; r < 8; ++r) {
    std::fill(tile.p + r * line + first / M::group, tile.p + r * line + past / M::group, 0u);
    std::fill(tile.ds + r * line + first / M::group, tile.ds + r * line + past / M::group, 0u);
  }
  for (int64_t r = 0; r < 8; r += 2)
    std::fill(tile.ds_stack + r * line + first, tile.ds_stack + r * line + past, 0u);
}

// Adds what one block of queries gives to the gradients of the keys before it, and to its own.
template <class M, class F = typename M::Sum>
void block_grads(const Queries<M>& queries, const Keys<M>& keys, const AttentionShape& s,
                 int64_t width, const AttentionDropout<F>& dropout) {
  using G = typename M::Element;
  constexpr int64_t group = M::group, line = query_block / group;
  HWY_ALIGN F scores[8 * query_block], dp[8 * query_block];
  HWY_ALIGN G p_rows[8 * line], ds_rows[8 * line], ds[query_block * line];  // ds: stack
  const int64_t end = queries.begin + queries.columns, row = width / group;
  const int64_t depth = (s.D + group - 1) / group;
  const int64_t begin = first_needed<F>(s.heads, 0, queries.begin);
  for (int64_t block = round_down(begin, query_block); block < end; block += query_block) {
    const int64_t block_end = std::min(block + query_block, end);
    for (int64_t key = std::max(begin, block); key < block_end; key += 8) {
      const int64_t first = first_query<F>(key, queries.begin);
      const int64_t past = end_query<F>(s.heads, key, queries.begin, queries.columns);
      const int64_t columns = past - first;
      KeyTile<M> tile{scores, dp, p_rows, ds_rows, ds + (key - block) * line};
      if constexpr (group == 1)
        tile = {scores, tile.ds_stack, scores, tile.ds_stack, tile.ds_stack};
      M::multiply({keys.k + key * row, row, 1}, queries.q_transposed + first, query_block,
                  tile.scores + first, query_block, columns, depth, false);
      M::multiply({keys.v + key * row, row, 1}, queries.dy_transposed + first, query_block,
                  tile.dp + first, query_block, columns, depth, false);
      probability_grads(queries, s, key, first, past, dropout, tile);
      const int64_t pairs = first / group;
      M::multiply({tile.p + pairs, line, 1}, queries.dy_stack + pairs * width, width,
                  keys.dv + key * width, width, width, columns / group, true);
      M::multiply({tile.ds + pairs, line, 1}, queries.q_stack + pairs * width, width,
                  keys.dk + key * width, width, width, columns / group, true);
    }
    for (int64_t i = 0; i < queries.count; i += 8) {
      const int64_t needed = first_needed<F>(s.heads, i, queries.begin);
      const int64_t first = std::max(needed, block),
                    past = std::min(block_end, queries.begin + i + 8);
      if (first >= past) continue;
      M::multiply({ds + i + (first - block) / group * query_block, 1, query_block},
                  keys.k_stack + first / group * width, width, queries.dq + i * width, width, width,
                  (past - first) / group, first > needed);
    }
  }
}

#if HWY_TARGET != HWY_SCALAR
// The same by tiles of 32 keys.
template <class M>
void tile_block_grads(const Queries<M>& queries, const Keys<M>& keys, const AttentionShape& s,
                      int64_t width, const AttentionDropout<float>& dropout) {
  constexpr int64_t line = query_block / 2;
  HWY_ALIGN float scores[tile_block * query_block], dp[tile_block * query_block];
  HWY_ALIGN uint32_t p_rows[tile_block * line], ds_rows[tile_block * line];
  HWY_ALIGN uint32_t ds[query_block * line];  // stack
  const TileUnit& unit = *tile_unit();
  const int64_t row = width / 2, columns = round_up(queries.columns, tile_block);
  const int64_t end = queries.begin + columns;
  const int64_t begin = round_down(first_needed<float>(s.heads, 0, queries.begin), tile_block);
  for (int64_t block = round_down(begin, query_block); block < end; block += query_block) {
    const int64_t block_begin = std::max(begin, block),
                  block_end = std::min(block + query_block, end);
    for (int64_t top = block_begin; top < block_end; top += tile_block) {
      const int64_t left = std::max<int64_t>(0, top - queries.begin), across = columns - left;
      multiply_tiles(unit, row_tiles(keys.k + top * row, width),
                     panels(queries.q_transposed + left, query_block), tile_block, across, width,
                     scores + left, query_block, false);
      multiply_tiles(unit, row_tiles(keys.v + top * row, width),
                     panels(queries.dy_transposed + left, query_block), tile_block, across, width,
                     dp + left, query_block, false);
      for (int64_t key = top; key < top + tile_block; key += 8) {
        const int64_t at = key - top;
        const KeyTile<M> tile{scores + at * query_block, dp + at * query_block, p_rows + at * line,
                              ds_rows + at * line, ds + (key - block) * line};
        const int64_t first = std::min(first_query<float>(key, queries.begin), columns);
        const int64_t past =
            std::max(first, end_query<float>(s.heads, key, queries.begin, queries.columns));
        probability_grads(queries, s, key, first, past, dropout, tile);
        clear_columns(tile, left, first);
        clear_columns(tile, past, columns);
      }
      multiply_tiles(unit, row_tiles(p_rows + left / 2, query_block),
                     panels(queries.dy_stack + left / 2 * width, width), tile_block, width, across,
                     keys.dv + top * width, width, true);
      multiply_tiles(unit, row_tiles(ds_rows + left / 2, query_block),
                     panels(queries.q_stack + left / 2 * width, width), tile_block, width, across,
                     keys.dk + top * width, width, true);
    }
    const TransposedRows k{keys.k_stack, s.T};
    for (int64_t i = 0; i < columns; i += tile_block) {
      const int64_t past = std::min(block_end, queries.begin + i + tile_block);
      if (past <= block_begin) continue;
      multiply_tiles(unit, k.from(block_begin),
                     panels(ds + (block_begin - block) * line + i, query_block), width, tile_block,
                     past - block_begin, queries.dq_transposed + i, query_block,
                     block_begin > begin);
    }
  }
  transpose(queries.dq_transposed, width, query_block, width, queries.dq);
}
#endif

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

// Key head `kv_head` of sequence b and the query heads that read it, every pointer at the first row
// of the sequence; lse [H, T].
template <class M, class E, class F = typename M::Sum>
void head_grads(const AttentionShape& s, int64_t b, int64_t kv_head, const E* dy, const E* qkv,
                const E* y, const F* lse, E* dqkv, const Dropout& with_dropout) {
  using G = typename M::Element;
  const int64_t width = round_up(s.D, M::width_unit), length = round_up(s.T, query_block);
  const int64_t stride = s.row(), of_keys = length * width, of_queries = query_block * width;
  const int64_t row = width / M::group;
  constexpr int copies = M::group > 1 ? 2 : 1;  // rows and stack, where they differ
  Scratch scratch((1 + copies) * Scratch::bytes_for<G>(length * row) +
                  2 * Scratch::bytes_for<F>(of_keys) +
                  (2 + 2 * copies) * Scratch::bytes_for<G>(query_block * row) +
                  (M::by_tiles ? 2 : 1) * Scratch::bytes_for<F>(of_queries) +
                  2 * Scratch::bytes_for<F>(query_block));
  auto elements = [&](int64_t n) { return scratch.take<G>(n * row); };
  auto stack = [&](G* rows, int64_t n) { return copies > 1 ? elements(n) : rows; };
  auto sums = [&](int64_t n) { return scratch.take<F>(n); };
  Keys<M> keys{elements(length), elements(length), nullptr, sums(of_keys), sums(of_keys)};
  keys.k_stack = stack(keys.k, length);
  Queries<M> queries{elements(query_block), elements(query_block), nullptr,          nullptr,
                     elements(query_block), elements(query_block), sums(of_queries), nullptr,
                     sums(query_block),     sums(query_block)};
  if constexpr (M::by_tiles) queries.dq_transposed = sums(of_queries);
  queries.q_stack = stack(queries.q, query_block);
  queries.dy_stack = stack(queries.dy, query_block);
  // As rows, and as a stack where that is another layout.
  auto load = [&](const E* from, int64_t from_stride, int64_t rows, G* to, G* to_stack,
                  int64_t padded) {
    M::load_rows(from, from_stride, rows, s.D, to, padded, width);
    if constexpr (copies > 1) M::load_stack(from, from_stride, rows, s.D, to_stack, padded, width);
  };
  const int64_t first_head = kv_head * s.heads.shared();
  if constexpr (M::by_tiles) {
    M::load_rows(qkv + s.key(first_head), stride, s.T, s.D, keys.k, length, width);
    TransposedRows{keys.k_stack, s.T}.load(qkv + s.key(first_head), stride, s.D, width);
  } else {
    load(qkv + s.key(first_head), stride, s.T, keys.k, keys.k_stack, length);
  }
  M::load_rows(qkv + s.value(first_head), stride, s.T, s.D, keys.v, length, width);
  std::fill_n(keys.dk, of_keys, F(0));
  std::fill_n(keys.dv, of_keys, F(0));
  std::optional<TileSession> session;
  if constexpr (M::by_tiles) session.emplace(*tile_unit());

  for (int64_t h = first_head; h < first_head + s.heads.shared(); ++h) {
    const AttentionDropout<F> dropout(with_dropout, b * s.H + h, s.T);
    for (queries.begin = 0; queries.begin < s.T; queries.begin += query_block) {
      queries.count = std::min(query_block, s.T - queries.begin);
      queries.columns = round_up(queries.count, max_lanes);
      load(qkv + queries.begin * stride + s.query(h), stride, queries.count, queries.q,
           queries.q_stack, query_block);
      load(dy + queries.begin * s.C() + s.query(h), s.C(), queries.count, queries.dy,
           queries.dy_stack, query_block);
      transpose(queries.q, query_block, row, query_block, queries.q_transposed);
      transpose(queries.dy, query_block, row, query_block, queries.dy_transposed);
      load_statistics(queries, s, dy + s.query(h), y + s.query(h), lse + h * s.T);
      if constexpr (M::by_tiles)
        tile_block_grads(queries, keys, s, width, dropout);
      else
        block_grads(queries, keys, s, width, dropout);
      for (int64_t i = 0; i < queries.count; ++i) {
        copy_scaled(queries.dq + i * width, s.D, s.scale<F>(),
                    dqkv + (queries.begin + i) * stride + s.query(h));
      }
    }
  }
  for (int64_t t = 0; t < s.T; ++t) {
    E* at = dqkv + t * stride;
    copy_scaled(keys.dk + t * width, s.D, s.scale<F>(), at + s.key(first_head));
    copy_scaled(keys.dv + t * width, s.D, F(1), at + s.value(first_head));
  }
}

template <class M, class E>
Array grads_of(const Array& dy, const Array& qkv, const Attended& forward, const AttentionShape& s,
               const Dropout& dropout) {
  Array dqkv(qkv.shape(), qkv.dtype(), qkv.device());
  const int64_t kv_heads = s.heads.n_kv_head;
  parallel_for(s.B * kv_heads, [&](int64_t i) {
    const int64_t b = i / kv_heads, packed = b * s.T * s.row(), at = b * s.T * s.C();
    head_grads<M>(s, b, i % kv_heads, dy.data<E>() + at, qkv.data<E>() + packed,
                  forward.y.data<E>() + at, forward.lse.data<typename M::Sum>() + b * s.H * s.T,
                  dqkv.data<E>() + packed, dropout);
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
