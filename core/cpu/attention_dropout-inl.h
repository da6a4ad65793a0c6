// Dropout on attention probabilities; compiled once per SIMD target, hence the toggled guard.
#if defined(FOLIO_CORE_CPU_ATTENTION_DROPOUT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_ATTENTION_DROPOUT_INL_H
#undef FOLIO_CORE_CPU_ATTENTION_DROPOUT_INL_H
#else
#define FOLIO_CORE_CPU_ATTENTION_DROPOUT_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "core/cpu/attention-inl.h"
#include "core/random.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// The factors of a head's probabilities, 0 or dropout.scale(), as Dropout::keeps defines them.
template <class F>
class AttentionDropout {
 public:
  // `head` is b H + h.
  AttentionDropout(const Dropout& dropout, int64_t head, int64_t T)
      : dropout_(dropout), scale_(F(dropout.scale())), head_(head), T_(T) {
    auto k0 = uint32_t(dropout.stream.seed), k1 = uint32_t(dropout.stream.seed >> 32);
    for (int round = 0; round < 10; ++round, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
      key0_[round] = k0;
      key1_[round] = k1;
    }
  }
  bool enabled() const { return dropout_.enabled(); }

  // Factors of keys [key, key + 8), key a multiple of 8, for one vector of queries from `query` on
  // -> [8, lanes].
  HWY_INLINE void factors(int64_t key, int64_t query, F* to) const {
    uint64_t first = uint64_t((head_ * T_ + query) * T_ + key);
#if HWY_TARGET != HWY_SCALAR
    if constexpr (sizeof(F) == 4) return vector_factors(Lanes<F>(), first, to);
#endif
    const int64_t lanes = hn::Lanes(Lanes<F>());
    for (int64_t k = 0; k < 8; ++k) {
      for (int64_t i = 0; i < lanes; ++i) {
        to[k * lanes + i] = dropout_.keeps(first + uint64_t(i * T_ + k)) ? scale_ : F(0);
      }
    }
  }

 private:
#if HWY_TARGET != HWY_SCALAR
  // A Philox block a lane: words 0 and 1 in `low`, 2 and 3 in `high`.
  template <class V>
  struct Block {
    V low, high;
  };

  template <class D64, class V = hn::Vec<D64>>
  HWY_INLINE Block<V> philox_blocks(D64 d, V block) const {
    const hn::Repartition<uint32_t, D64> d32;
    // Each word of the counter is the low half of its lane; what is above it is never read.
    V c0 = block, c1 = hn::ShiftRight<32>(block);
    V c2 = hn::Set(d, uint32_t(dropout_.stream.stream)),
      c3 = hn::Set(d, dropout_.stream.stream >> 32);
    const auto m0 = hn::Set(d32, 0xD2511F53u), m1 = hn::Set(d32, 0xCD9E8D57u);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      V p0 = hn::MulEven(hn::BitCast(d32, c0), m0);
      V p1 = hn::MulEven(hn::BitCast(d32, c2), m1);
      c0 = hn::Xor3(hn::ShiftRight<32>(p1), c1, hn::Set(d, key0_[round]));
      c2 = hn::Xor3(hn::ShiftRight<32>(p0), c3, hn::Set(d, key1_[round]));
      c1 = p1;
      c3 = p0;
    }
    auto join = [&](V low, V high) {
      return hn::BitCast(
          d, hn::OddEven(hn::BitCast(d32, hn::ShiftLeft<32>(high)), hn::BitCast(d32, low)));
    };
    return {join(c0, c1), join(c2, c3)};
  }

  // The 8 numbers from element `element` on, a row a lane. Unless T is a multiple of 8 they
  // straddle two blocks, at another place in each lane.
  template <class D64, class V = hn::Vec<D64>>
  HWY_INLINE Block<V> numbers(D64 d, V element) const {
    V block = hn::ShiftRight<3>(element);
    Block<V> at = philox_blocks(d, block);
    if (T_ % 8 == 0) return at;
    Block<V> next = philox_blocks(d, hn::Add(block, hn::Set(d, 1)));
    V offset = hn::And(element, hn::Set(d, 7));
    auto is_far = hn::TestBit(offset, hn::Set(d, 4));  // the first number is in `high`
    V a = hn::IfThenElse(is_far, at.high, at.low);
    V b = hn::IfThenElse(is_far, next.low, at.high);
    V c = hn::IfThenElse(is_far, next.high, next.low);
    V right = hn::ShiftLeft<4>(hn::And(offset, hn::Set(d, 3)));
    V left = hn::Sub(hn::Set(d, 63), right);
    auto join = [&](V low, V high) {
      return hn::Or(hn::Shr(low, right), hn::ShiftLeft<1>(hn::Shl(high, left)));
    };
    return {join(a, b), join(b, c)};
  }

  template <class D>
  HWY_INLINE void vector_factors(D d, uint64_t first, F* to) const {
    const hn::Repartition<uint64_t, D> d64;
    const hn::Repartition<uint32_t, D> d32;
    const hn::RebindToSigned<D> i32;
    auto lane = hn::Mul(hn::Iota(d64, 0), hn::Set(d64, uint64_t(2 * T_)));
    auto even = numbers(d64, hn::Add(lane, hn::Set(d64, first)));
    auto odd = numbers(d64, hn::Add(lane, hn::Set(d64, first + uint64_t(T_))));

    const int64_t lanes = hn::Lanes(d);
    const auto below = hn::Set(i32, int32_t(dropout_.threshold) - 1);
    const auto scale = hn::Set(d, scale_);
    auto put = [&](auto number, int64_t k) {
      auto kept = hn::RebindMask(d, hn::Gt(hn::BitCast(i32, number), below));
      hn::StoreU(hn::IfThenElseZero(kept, scale), d, to + k * lanes);
    };
    // Numbers k and k + 1 of every query.
    auto put_word = [&](auto word, int64_t k) {
      put(hn::And(word, hn::Set(d32, 0xffff)), k);
      put(hn::ShiftRight<16>(word), k + 1);
    };
    auto put_words = [&](auto even_words, auto odd_words, int64_t k) {
      auto bits = [&](auto x) { return hn::BitCast(d32, x); };
      put_word(hn::OddEven(bits(hn::ShiftLeft<32>(odd_words)), bits(even_words)), k);
      put_word(hn::OddEven(bits(odd_words), bits(hn::ShiftRight<32>(even_words))), k + 2);
    };
    put_words(even.low, odd.low, 0);
    put_words(even.high, odd.high, 4);
  }
#endif

  Dropout dropout_;
  F scale_;
  int64_t head_, T_;
  uint64_t key0_[10], key1_[10];
};

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
