// What the attention kernels share; compiled once per SIMD target, hence the toggled guard.
#if defined(FOLIO_CORE_CPU_ATTENTION_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_ATTENTION_INL_H
#undef FOLIO_CORE_CPU_ATTENTION_INL_H
#else
#define FOLIO_CORE_CPU_ATTENTION_INL_H
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/array.h"
#include "core/backend/heads.h"
#include "core/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
// At most 16 lanes, so that blocks padded to multiples of 16 need no partial vectors.
constexpr int64_t max_lanes = 16;
template <class F>
using Lanes = hn::CappedTag<F, max_lanes>;

// Rows of C that one tile of `multiply` keeps in registers, two vectors each.
constexpr int tile_rows = HWY_MAX_BYTES >= 64 || HWY_ARCH_ARM_A64 ? 8 : 4;

constexpr int64_t round_down(int64_t n, int64_t unit) { return n / unit * unit; }
constexpr int64_t round_up(int64_t n, int64_t unit) { return round_down(n + unit - 1, unit); }

// Queries whose scores are computed together.
constexpr int64_t query_block = 64;

struct AttentionShape {
  int64_t B, T, H, D;  // D: the width of a head
  Heads heads;

  static AttentionShape of(const Array& qkv, const Heads& heads) {
    return {qkv.dim(0), qkv.dim(1), heads.n_head, heads.width, heads};
  }
  int64_t C() const { return H * D; }  // columns of y
  int64_t row() const { return heads.columns(); }
  // In a row of qkv, the first column of query head h and of the keys and the values that it reads.
  int64_t query(int64_t h) const { return h * D; }
  int64_t key(int64_t h) const { return C() + h / heads.shared() * D; }
  int64_t value(int64_t h) const { return key(h) + heads.kv_channels(); }
  template <class F>
  F scale() const {
    return F(1) / std::sqrt(F(D));
  }
};

// Scores of keys that come after the query are not computed, as far as whole vectors allow: queries
// are taken in vectors, and keys in groups of 8.
//
// Of a block of queries, numbered from 0 at position `block`: the first whose scores with the keys
// at [key, key + 8) are computed. It is the one at `key`, or the start of that one's vector.
template <class F>
HWY_INLINE int64_t first_query(int64_t key, int64_t block) {
  const int64_t unit = std::max<int64_t>(8, hn::Lanes(Lanes<F>()));
  return key <= block ? 0 : round_down(key - block, unit);
}
// The end of those that are computed: beyond it no query's window holds any of the 8 keys.
template <class F>
HWY_INLINE int64_t end_query(const Heads& heads, int64_t key, int64_t block, int64_t columns) {
  if (heads.window == 0) return columns;
  const int64_t unit = std::max<int64_t>(8, hn::Lanes(Lanes<F>()));
  return std::min(columns, round_up(key + 7 + heads.window - block, unit));
}
// The first key, a multiple of 8, of those that the vector of query i of the block needs: keys from
// it on have been computed for that query.
template <class F>
HWY_INLINE int64_t first_needed(const Heads& heads, int64_t i, int64_t block) {
  const int64_t unit = std::max<int64_t>(8, hn::Lanes(Lanes<F>()));
  return round_down(heads.first_seen(block + round_down(i, unit)), 8);
}
// How many keys the vector that holds query i needs, beside all those before the block.
template <class F>
HWY_INLINE int64_t keys_needed(int64_t i) {
  const int64_t unit = std::max<int64_t>(8, hn::Lanes(Lanes<F>()));
  return round_down(i, unit) + unit;
}

// to[i] = from[i] * scale, from any of double, float, bfloat16 to any.
template <class From, class To, class F>
HWY_INLINE void copy_scaled(const From* from, int64_t n, F scale, To* to) {
  const Lanes<F> d;
  const int64_t lanes = hn::Lanes(d);
  const auto factor = hn::Set(d, scale);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    store(load(d, from + i, Whole()) * Simd<Lanes<F>>(factor), to + i, Whole());
  for (; i < n; ++i) to[i] = To(F(from[i]) * scale);
}

// Rows of `width` elements, `stride` apart -> packed [rows_padded, width_padded], zeros beyond.
template <class E, class F>
void pack_rows(const E* from, int64_t stride, int64_t rows, int64_t width, F scale, F* to,
               int64_t rows_padded, int64_t width_padded) {
  for (int64_t r = 0; r < rows; ++r, to += width_padded) {
    copy_scaled(from + r * stride, width, scale, to);
    std::fill(to + width, to + width_padded, F(0));
  }
  std::fill(to, to + (rows_padded - rows) * width_padded, F(0));
}

// [rows, width] -> [width, rows]; both are multiples of 4.
template <class F>
void transpose(const F* from, int64_t rows, int64_t width, int64_t to_stride, F* to) {
#if HWY_TARGET != HWY_SCALAR
  if constexpr (sizeof(F) == 4) {
    const hn::FixedTag<F, 4> d;
    const hn::Repartition<uint64_t, decltype(d)> d64;
    auto pairs = [&](auto a) { return hn::BitCast(d64, a); };
    for (int64_t r = 0; r < rows; r += 4) {
      for (int64_t c = 0; c < width; c += 4) {
        const F* at = from + r * width + c;
        auto a = hn::LoadU(d, at), b = hn::LoadU(d, at + width);
        auto e = hn::LoadU(d, at + 2 * width), f = hn::LoadU(d, at + 3 * width);
        auto ab_low = pairs(hn::InterleaveLower(d, a, b));
        auto ab_high = pairs(hn::InterleaveUpper(d, a, b));
        auto ef_low = pairs(hn::InterleaveLower(d, e, f));
        auto ef_high = pairs(hn::InterleaveUpper(d, e, f));
        F* out = to + c * to_stride + r;
        hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_low, ef_low)), d, out);
        hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_low, ef_low)), d, out + to_stride);
        hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_high, ef_high)), d,
                   out + 2 * to_stride);
        hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_high, ef_high)), d,
                   out + 3 * to_stride);
      }
    }
    return;
  }
#endif
  for (int64_t c = 0; c < width; ++c) {
    for (int64_t r = 0; r < rows; ++r) to[c * to_stride + r] = from[r * width + c];
  }
}

// e^x for x <= 0, within 2 ulp; 0 below -86 (the sum it is added to is at least 1). NaN stays NaN.
template <class D>
HWY_INLINE hn::Vec<D> exp_negative([[maybe_unused]] D d, hn::Vec<D> x) {
  if constexpr (sizeof(hn::TFromD<D>) == 8) {
    return hn::Exp(d, x);
  } else {
    auto constant = [&](float c) { return hn::Set(d, c); };
    const hn::RebindToSigned<D> i32;
    const auto shift = constant(0x1.8p23f);  // x + shift holds round(x) in its low bits
    auto shifted = hn::MulAdd(x, constant(1.44269504f), shift);
    auto n = hn::Sub(shifted, shift);
    auto r = hn::NegMulAdd(n, constant(0.693359375f), x);
    r = hn::NegMulAdd(n, constant(-2.12194440e-4f), r);
    auto p = hn::MulAdd(constant(1.9875691500e-4f), r, constant(1.3981999507e-3f));
    p = hn::MulAdd(p, r, constant(8.3334519073e-3f));
    p = hn::MulAdd(p, r, constant(4.1665795894e-2f));
    p = hn::MulAdd(p, r, constant(1.6666665459e-1f));
    p = hn::MulAdd(p, r, constant(5.0000001201e-1f));
    p = hn::MulAdd(p, hn::Mul(r, r), hn::Add(r, constant(1.0f)));
    auto power = hn::ShiftLeft<23>(hn::BitCast(i32, shifted));
    auto y = hn::BitCast(d, hn::Add(hn::BitCast(i32, p), power));
    return hn::IfThenZeroElse(hn::Lt(x, constant(-86.0f)), y);
  }
}

// A's element (i, k) is at[i * row + k * depth]: it is broadcast, so any strides will do.
template <class F>
struct Broadcast {
  const F* at;
  int64_t row, depth;
};

// C[rows, vectors * lanes] = A B, or += with `accumulate`, for B [depth, ...] with contiguous rows.
// Every element of C is one chain of multiply-adds in the order of k, whatever `rows` and `vectors`
// are: that makes a row's bits independent of the rows that it is computed with.
template <int rows, int vectors, class F, class E>
HWY_INLINE void multiply_tile(Broadcast<F> a, const E* b, int64_t b_stride, F* c, int64_t c_stride,
                              int64_t depth, bool accumulate) {
  const Lanes<F> d;
  const int64_t lanes = hn::Lanes(d);
  hn::Vec<Lanes<F>> sum[rows][vectors];
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) {
      sum[i][j] = accumulate ? hn::LoadU(d, c + i * c_stride + j * lanes) : hn::Zero(d);
    }
  }
  const F* at = a.at;
  for (int64_t k = 0; k < depth; ++k, at += a.depth, b += b_stride) {
    hn::Vec<Lanes<F>> row[vectors];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) row[j] = load(d, b + j * lanes, Whole()).v;
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
      const auto x = hn::Set(d, at[i * a.row]);
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) sum[i][j] = hn::MulAdd(x, row[j], sum[i][j]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) hn::StoreU(sum[i][j], d, c + i * c_stride + j * lanes);
  }
}

// The same for `columns`, a multiple of the lanes.
template <int rows, int vectors, class F, class E>
HWY_INLINE void multiply(Broadcast<F> a, const E* b, int64_t b_stride, F* c, int64_t c_stride,
                         int64_t columns, int64_t depth, bool accumulate) {
  const int64_t lanes = hn::Lanes(Lanes<F>());
  int64_t j = 0;
  for (; j + vectors * lanes <= columns; j += vectors * lanes) {
    multiply_tile<rows, vectors>(a, b + j, b_stride, c + j, c_stride, depth, accumulate);
  }
  for (; j < columns; j += lanes) {
    multiply_tile<rows, 1>(a, b + j, b_stride, c + j, c_stride, depth, accumulate);
  }
}

// The same for 8 rows.
template <class F, class E>
HWY_INLINE void multiply_8(Broadcast<F> a, const E* b, int64_t b_stride, F* c, int64_t c_stride,
                           int64_t columns, int64_t depth, bool accumulate) {
  for (int i = 0; i < 8; i += tile_rows) {
    multiply<tile_rows, 2>(Broadcast<F>{a.at + i * a.row, a.row, a.depth}, b, b_stride,
                           c + i * c_stride, c_stride, columns, depth, accumulate);
  }
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
