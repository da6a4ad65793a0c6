#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/attention.cc"
#include <hwy/foreach_target.h>

#include <optional>
// foreach_target.h comes first: it includes this file once per SIMD target.
#include "core/cpu/attention-inl.h"
#include "core/cpu/attention_dropout-inl.h"
#include "core/cpu/attention_grad.h"
#include "core/cpu/attention_math-inl.h"
#include "core/cpu/cpu_backend.h"
#include "core/cpu/scratch.h"
#include "core/cpu/tiles/attention_tiles-inl.h"
#include "core/devices/costs.h"
#include "core/parallel.h"

// Every tile of scores is held transposed, [keys, queries]: the softmax over keys then works on
// whole vectors of queries and never reduces within one, K and V are used as they come, and a
// Philox block, 8 keys of one query, is spread over 8 rows without a shuffle.
HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace {

// Keys that a vector of queries may see, multiples of 8: all of its queries see those of [whole,
// whole_end), some do those of [begin, whole) and [whole_end, end).
struct KeyRange {
  int64_t begin, whole, whole_end, end;

  static KeyRange of(const Heads& heads, int64_t query, int64_t lanes, int64_t begin, int64_t end) {
    const int64_t whole_end = round_down(query + 1, 8);
    if (heads.window == 0) return {0, 0, whole_end, end};
    const int64_t whole = std::max(begin, round_up(heads.first_seen(query + lanes - 1), 8));
    return whole < whole_end ? KeyRange{begin, whole, whole_end, end}
                             : KeyRange{begin, end, end, end};
  }
};

// Softmax over `keys` of one vector of queries: scores at `scores`, of which row `base` is the
// first, [keys, query_block], whose first query is `query`, are multiplied by `scale` first.
// `probabilities`, a stack in the memory of the scores, receives them without their division by
// `sum` and with dropout applied; those of keys that a query does not see are zero. -> log sum exp.
template <class M, class F = typename M::Sum>
HWY_INLINE hn::Vec<Lanes<F>> softmax(F* scores, int64_t base, int64_t query, const Heads& heads,
                                     const KeyRange& keys, F scale,
                                     const AttentionDropout<F>& dropout,
                                     typename M::Element* probabilities, F* sum) {
  const Lanes<F> d;
  const int64_t lanes = hn::Lanes(d);
  const auto queries = hn::Iota(d, F(query));
  const auto oldest =
      hn::Sub(queries, hn::Set(d, heads.window > 0 ? F(heads.window) : F(query + lanes + 1)));
  auto score = [&](int64_t key) { return hn::LoadU(d, scores + (key - base) * query_block); };
  auto is_past = [&](int64_t key) {
    const auto at = hn::Set(d, F(key));
    return hn::And(hn::Le(at, queries), hn::Gt(at, oldest));
  };

  auto largest = hn::Set(d, hwy::LowestValue<F>());
  for (int64_t key = keys.begin; key < keys.whole; ++key)
    largest = hn::IfThenElse(is_past(key), hn::Max(largest, score(key)), largest);
  for (int64_t key = keys.whole; key < keys.whole_end; key += 8) {
    auto a = hn::Max(hn::Max(score(key), score(key + 1)), hn::Max(score(key + 2), score(key + 3)));
    auto b =
        hn::Max(hn::Max(score(key + 4), score(key + 5)), hn::Max(score(key + 6), score(key + 7)));
    largest = hn::Max(largest, hn::Max(a, b));
  }
  for (int64_t key = keys.whole_end; key < keys.end; ++key) {
    largest = hn::IfThenElse(is_past(key), hn::Max(largest, score(key)), largest);
  }

  const auto factor = hn::Set(d, scale);
  auto even = hn::Zero(d), odd = hn::Zero(d);
  HWY_ALIGN F factors[8 * max_lanes];
  auto eight_keys = [&](int64_t first, auto probability) {
    if (dropout.enabled()) dropout.factors(first, query, factors);
    for (int64_t key = first; key < first + 8; key += 2) {
      auto p = probability(key), q = probability(key + 1);
      even = hn::Add(even, p);
      odd = hn::Add(odd, q);
      if (dropout.enabled()) {
        p = hn::Mul(p, hn::Load(d, factors + (key - first) * lanes));
        q = hn::Mul(q, hn::Load(d, factors + (key + 1 - first) * lanes));
      }
      M::store_stack(p, q, probabilities, query_block, key - base, 0);
    }
  };
  auto exponential = [&](int64_t key) {
    return exp_negative(d, hn::Mul(hn::Sub(score(key), largest), factor));
  };
  auto seen = [&](int64_t k) { return hn::IfThenElseZero(is_past(k), exponential(k)); };
  for (int64_t key = keys.begin; key < keys.whole; key += 8) eight_keys(key, seen);
  for (int64_t key = keys.whole; key < keys.whole_end; key += 8) eight_keys(key, exponential);
  for (int64_t key = keys.whole_end; key < keys.end; key += 8) eight_keys(key, seen);
  auto total = hn::Add(even, odd);
  hn::StoreU(total, d, sum);
  return hn::MulAdd(largest, factor, hn::Log(d, total));
}

// What a block of queries is computed from and in. Rows and stacks: see attention_math-inl.h.
template <class M, class F = typename M::Sum, class G = typename M::Element>
struct HeadBlocks {
  const AttentionShape& s;
  int64_t base, end, width;       // the keys [base, end)
  G *k, *v;                       // rows; a stack, or by tiles the transposed rows
  F* scores;                      // [keys, query_block], and in its memory:
  G* probabilities;               // a stack
  G *q, *q_transposed;            // rows
  F *result, *result_transposed;  // [query_block, width]; the other by tiles alone

  int64_t row() const { return width / M::group; }
};

// The scores of queries [q0, q0 + columns) with the keys that they see.
template <class M, class F = typename M::Sum>
void multiply_scores(const HeadBlocks<M>& a, int64_t q0, int64_t columns) {
  const int64_t needed = first_needed<F>(a.s.heads, 0, q0);
  if constexpr (M::by_tiles) {
    const int64_t past = round_up(columns, tile_block);
    for (int64_t key = round_down(needed, tile_block); key < q0 + past; key += tile_block) {
      const int64_t first = std::max<int64_t>(0, key - q0);
      multiply_tiles(*tile_unit(), row_tiles(a.k + (key - a.base) * a.row(), a.width),
                     panels(a.q_transposed + first, query_block), tile_block, past - first, a.width,
                     a.scores + (key - a.base) * query_block + first, query_block, false);
    }
  } else {
    const int64_t depth = (a.s.D + M::group - 1) / M::group;
    for (int64_t key = needed; key < q0 + columns; key += 8) {
      const int64_t first = first_query<F>(key, q0);
      const int64_t past = end_query<F>(a.s.heads, key, q0, columns);
      M::multiply({a.k + (key - a.base) * a.row(), a.row(), 1}, a.q_transposed + first, query_block,
                  a.scores + (key - a.base) * query_block + first, query_block, past - first, depth,
                  false);
    }
  }
}

// The result of queries [q0, q0 + queries), without the division by their sums.
template <class M, class F = typename M::Sum>
void multiply_values(const HeadBlocks<M>& a, int64_t q0, int64_t queries) {
  if constexpr (M::by_tiles) {
    const TransposedRows v{a.v, a.end - a.base};
    for (int64_t i = 0; i < queries; i += tile_block) {
      const int64_t begin = round_down(first_needed<F>(a.s.heads, i, q0), tile_block) - a.base;
      const int64_t end = q0 + i + tile_block - a.base;
      for (int64_t j = i; j < i + tile_block; j += max_lanes) {
        auto* stack = a.probabilities + j;
        clear_stack(stack, query_block, begin, first_needed<F>(a.s.heads, j, q0) - a.base);
        clear_stack(stack, query_block, q0 + keys_needed<F>(j) - a.base, end);
      }
      multiply_tiles(*tile_unit(), v.from(begin),
                     panels(a.probabilities + begin / 2 * query_block + i, query_block), a.width,
                     tile_block, end - begin, a.result_transposed + i, query_block, false);
    }
    transpose(a.result_transposed, a.width, query_block, a.width, a.result);
  } else {
    for (int64_t i = 0; i < queries; i += 8) {
      const int64_t first = (first_needed<F>(a.s.heads, i, q0) - a.base) / M::group;
      M::multiply({a.probabilities + i + first * query_block, 1, query_block},
                  a.v + first * a.width, a.width, a.result + i * a.width, a.width, a.width,
                  (q0 + i + 8 - a.base) / M::group - first, false);
    }
  }
}

// One head's queries [begin, end): `head` is b H + h, qkv and y at the first row of its sequence
// and y at the head's first column, lse [T].
template <class M, class E, class F = typename M::Sum>
void attend(const AttentionShape& s, int64_t head, const E* qkv, int64_t begin, int64_t end, E* y,
            F* lse, const Dropout& with_dropout) {
  using G = typename M::Element;
  const int64_t width = round_up(s.D, M::width_unit), h = head % s.H;
  const int64_t base = round_down(s.heads.first_seen(begin), query_block);  // the first key needed
  const int64_t keys = round_up(end - base, query_block), row = width / M::group;
  const int64_t of_result = query_block * width, of_transposed = M::by_tiles ? of_result : 0;
  Scratch scratch(2 * Scratch::bytes_for<G>(keys * row) +
                  Scratch::bytes_for<F>(keys * query_block) +
                  2 * Scratch::bytes_for<G>(query_block * row) + Scratch::bytes_for<F>(of_result) +
                  Scratch::bytes_for<F>(of_transposed));
  HeadBlocks<M> a{s,
                  base,
                  end,
                  width,
                  scratch.take<G>(keys * row),
                  scratch.take<G>(keys * row),
                  scratch.take<F>(keys * query_block),
                  nullptr,
                  scratch.take<G>(query_block * row),
                  scratch.take<G>(query_block * row),
                  scratch.take<F>(of_result),
                  scratch.take<F>(of_transposed)};
  a.probabilities = reinterpret_cast<G*>(a.scores);
  const E* first_row = qkv + base * s.row();
  M::load_rows(first_row + s.key(h), s.row(), end - base, s.D, a.k, keys, width);
  std::optional<TileSession> session;
  if constexpr (M::by_tiles) {
    TransposedRows{a.v, end - base}.load(first_row + s.value(h), s.row(), s.D, width);
    session.emplace(*tile_unit());
  } else {
    M::load_stack(first_row + s.value(h), s.row(), end - base, s.D, a.v, keys, width);
  }

  const int64_t lanes = hn::Lanes(Lanes<F>());
  const AttentionDropout<F> dropout(with_dropout, head, s.T);
  for (int64_t q0 = begin; q0 < end; q0 += query_block) {
    const int64_t queries = std::min(query_block, end - q0);
    const int64_t columns = round_up(queries, max_lanes);
    M::load_rows(qkv + q0 * s.row() + s.query(h), s.row(), queries, s.D, a.q, query_block, width);
    transpose(a.q, query_block, row, query_block, a.q_transposed);
    multiply_scores(a, q0, columns);
    HWY_ALIGN F sum[query_block], log_sum[query_block];
    for (int64_t i = 0; i < columns; i += lanes) {
      const auto range = KeyRange::of(s.heads, q0 + i, lanes, first_needed<F>(s.heads, i, q0),
                                      q0 + keys_needed<F>(i));
      auto log_sum_exp = softmax<M>(a.scores + i, base, q0 + i, s.heads, range, s.scale<F>(),
                                    dropout, a.probabilities + i, sum + i);
      hn::Store(log_sum_exp, Lanes<F>(), log_sum + i);
    }
    std::copy(log_sum, log_sum + queries, lse + q0);
    multiply_values(a, q0, queries);
    for (int64_t i = 0; i < queries; ++i) {
      copy_scaled(a.result + i * width, s.D, F(1) / sum[i], y + (q0 + i) * s.C());
    }
  }
}

template <class M, class E>
Attended attention_of(const Array& qkv, const AttentionShape& s, const Dropout& dropout) {
  using F = typename M::Sum;
  Attended result{Array({s.B, s.T, s.C()}, qkv.dtype(), qkv.device()),
                  Array({s.B, s.H, s.T}, dtype_of<F>, qkv.device())};
  // Few heads are split further; each piece packs the keys before it again.
  const int64_t block = s.B * s.H >= 64 ? s.T : 4 * query_block;
  const int64_t blocks = (s.T + block - 1) / block;
  parallel_for(s.B * s.H * blocks, [&](int64_t i) {
    const int64_t head = i % (s.B * s.H), b = head / s.H, h = head % s.H;
    const int64_t begin = (blocks - 1 - i / (s.B * s.H)) * block;  // the longest first
    attend<M>(s, head, qkv.data<E>() + b * s.T * s.row(), begin, std::min(s.T, begin + block),
              result.y.data<E>() + b * s.T * s.C() + h * s.D, result.lse.data<F>() + head * s.T,
              dropout);
  });
  return result;
}

Attended attention(const Array& qkv, const Heads& heads, const Dropout& dropout) {
  const AttentionShape s = AttentionShape::of(qkv, heads);
  return visit_math(qkv.dtype(),
                    [&]<class M, class E>(M, E) { return attention_of<M, E>(qkv, s, dropout); });
}

}  // namespace
}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {

HWY_EXPORT(attention);

namespace {

class CpuAttentionOps final : public AttentionOps {
 public:
  Attended forward(const Array& qkv, const Heads& heads, const Dropout& dropout) override {
    count_flops(attention_flops(qkv, heads));
    return HWY_DYNAMIC_DISPATCH(attention)(qkv, heads, dropout);
  }

  Array grad(const Array& dy, const Array& qkv, const Attended& forward, const Heads& heads,
             const Dropout& dropout) override {
    count_flops(2 * attention_flops(qkv, heads));
    return cpu_attention_grad(dy, qkv, forward, heads, dropout);
  }
};

}  // namespace

AttentionOps& cpu_attention() {
  static auto& operations = *new CpuAttentionOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif
