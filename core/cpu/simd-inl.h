// The lanes that the CPU's kernels compute in. Included once per SIMD target, as Highway's own
// *-inl.h files are, so the guard toggles.
#if defined(FOLIO_CORE_CPU_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_SIMD_INL_H_
#undef FOLIO_CORE_CPU_SIMD_INL_H_
#else
#define FOLIO_CORE_CPU_SIMD_INL_H_
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "core/dtype.h"
#include "core/random.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// What numbers stored as T are computed in: f64 in f64, f32, bf16 and int8 in f32.
template <class T>
using Compute = std::conditional_t<std::is_same_v<T, double>, double, float>;
template <class T>
using Tag = hn::ScalableTag<Compute<T>>;

// A vector as a number, for the functors of core/unary_ops.h. Operators are free templates: GCC
// compiles friends of a class template without the pragma's target. What a functor calls is plain
// inline: always_inline would be forced into the functor, which has no target, before the functor
// dissolves in its caller.
template <class D>
struct Simd {
  using Lane = hn::TFromD<D>;
  hn::Vec<D> v;

  Simd(hn::Vec<D> lanes) : v(lanes) {}
  explicit Simd(double value) : v(hn::Set(D(), Lane(value))) {}
};

template <class D>
inline Simd<D> operator+(Simd<D> a, Simd<D> b) {
  return hn::Add(a.v, b.v);
}
template <class D>
inline Simd<D> operator-(Simd<D> a, Simd<D> b) {
  return hn::Sub(a.v, b.v);
}
template <class D>
inline Simd<D> operator*(Simd<D> a, Simd<D> b) {
  return hn::Mul(a.v, b.v);
}
template <class D>
inline Simd<D> operator/(Simd<D> a, Simd<D> b) {
  return hn::Div(a.v, b.v);
}

// f lane by lane: for f64, which only gradient checks use.
template <class D, class F>
inline Simd<D> each_lane(Simd<D> x, F f) {
  HWY_ALIGN hn::TFromD<D> lanes[hn::MaxLanes(D())];
  hn::Store(x.v, D(), lanes);
  for (size_t i = 0; i < hn::Lanes(D()); ++i) lanes[i] = f(lanes[i]);
  return hn::Load(D(), lanes);
}

// c[0] + c[1] x + c[2] x^2 + ...
template <class D, size_t n>
HWY_INLINE hn::Vec<D> polynomial(D d, hn::Vec<D> x, const float (&c)[n]) {
  auto sum = hn::Set(d, c[n - 1]);
  for (size_t i = n - 1; i-- > 0;) sum = hn::MulAdd(sum, x, hn::Set(d, c[i]));
  return sum;
}

// x p(x^2) / q(x^2) on [-limit, limit], beyond which the function is +-1 in f32. NaN stays NaN.
template <class D, size_t n, size_t m>
HWY_INLINE hn::Vec<D> odd_rational(D d, hn::Vec<D> x, float limit, const float (&p)[n],
                                   const float (&q)[m]) {
  auto big = hn::Gt(hn::Abs(x), hn::Set(d, limit));
  auto square = hn::Mul(x, x);
  auto inside = hn::Div(hn::Mul(x, polynomial(d, square, p)), polynomial(d, square, q));
  return hn::IfThenElse(big, hn::CopySign(hn::Set(d, 1.0f), x), inside);
}

template <class D>
inline Simd<D> exp(Simd<D> x) {
  if constexpr (std::is_same_v<hn::TFromD<D>, double>) {
    return each_lane(x, [](double lane) { return std::exp(lane); });
  } else {
    D d;
    auto limit = hn::Set(d, 100.0f);  // exp is infinite from 88.73 on; Highway's holds up to 104
    auto y = hn::Exp(d, hn::IfThenElse(hn::Gt(x.v, limit), limit, x.v));
    return hn::IfThenElse(hn::IsNaN(x.v), x.v, y);
  }
}

template <class D>
inline Simd<D> log(Simd<D> x) {
  if constexpr (std::is_same_v<hn::TFromD<D>, double>) {
    return each_lane(x, [](double lane) { return std::log(lane); });
  } else {  // Highway's is for positive numbers
    D d;
    const auto zero = hn::Zero(d), infinity = hn::Inf(d);
    auto y = hn::IfThenElse(hn::Lt(x.v, infinity), hn::Log(d, x.v), x.v);  // infinity and NaN stay
    y = hn::IfThenElse(hn::Eq(x.v, zero), hn::Neg(infinity), y);
    return hn::IfThenElse(hn::Lt(x.v, zero), hn::NaN(d), y);
  }
}

template <class D>
inline Simd<D> sqrt(Simd<D> x) {
  return hn::Sqrt(x.v);
}

// a where x is positive or NaN, else 0
template <class D>
inline Simd<D> where_positive(Simd<D> x, Simd<D> a) {
  return hn::IfThenZeroElse(hn::Le(x.v, hn::Zero(D())), a.v);
}

template <class D>
inline Simd<D> erf(Simd<D> x) {
  if constexpr (std::is_same_v<hn::TFromD<D>, double>) {
    return each_lane(x, [](double lane) { return std::erf(lane); });
  } else {
    // The minimax pair of Eigen's generic_fast_erf_float.
    static constexpr float p[] = {-1.60960333262415e-02f, -2.95459980854025e-03f,
                                  -7.34990630326855e-04f, -5.69250639462346e-05f,
                                  -2.10102402082508e-06f, 2.77068142495902e-08f,
                                  -2.72614225801306e-10f};
    static constexpr float q[] = {-1.42647390514189e-02f, -7.37332916720468e-03f,
                                  -1.68282697438203e-03f, -2.13374055278905e-04f,
                                  -1.45660718464996e-05f};
    return odd_rational(D(), x.v, 3.92f, p, q);
  }
}

template <class D>
inline Simd<D> tanh(Simd<D> x) {
  if constexpr (std::is_same_v<hn::TFromD<D>, double>) {
    return each_lane(x, [](double lane) { return std::tanh(lane); });
  } else {
    // The minimax pair of Eigen's generic_fast_tanh_float.
    static constexpr float p[] = {
        4.89352455891786e-03f,  6.37261928875436e-04f, 1.48572235717979e-05f, 5.12229709037114e-08f,
        -8.60467152213735e-11f, 2.00018790482477e-13f, -2.76076847742355e-16f};
    static constexpr float q[] = {4.89352518554385e-03f, 2.26843463243900e-03f,
                                  1.18534705686654e-04f, 1.19825839466702e-06f};
    return odd_rational(D(), x.v, 7.9f, p, q);
  }
}

// --- memory: the whole vector, or its first n elements with zeros in the lanes after them. The
// arithmetic is the same on both, so an element's bits do not depend on where its vector ends.
struct Whole {};

template <class D, class T>
HWY_INLINE Simd<D> load(D d, const T* from, Whole) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    hn::Rebind<uint32_t, D> d32;
    hn::Rebind<uint16_t, D> d16;
    auto bits = hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from));
    return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, bits)));
  } else if constexpr (std::is_same_v<T, int8_t>) {
    return hn::ConvertTo(
        d, hn::PromoteTo(hn::RebindToSigned<D>(), hn::LoadU(hn::Rebind<int8_t, D>(), from)));
  } else {
    return hn::LoadU(d, from);
  }
}

template <class D, class T>
HWY_INLINE Simd<D> load(D d, const T* from, size_t n) {
  HWY_ALIGN T lanes[hn::MaxLanes(d)] = {};
  std::memcpy(lanes, from, n * sizeof(T));
  return load(d, lanes, Whole());
}

// Two neighbours as the dot products of bf16 take them: the even one in the low half.
HWY_INLINE uint32_t pair_of(bfloat16 even, bfloat16 odd) {
  return uint32_t(even.bits) | uint32_t(odd.bits) << 16;
}

// f32 lanes as u32 whose upper halves are the bits of bfloat16(x).
template <class D>
HWY_INLINE auto bf16_bits(D, hn::Vec<D> x) {
  hn::Rebind<uint32_t, D> d32;
  auto bits = hn::BitCast(d32, x);
  auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7fff)));
  auto quiet = hn::Or(bits, hn::Set(d32, 0x400000));
  return hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(x)), quiet, rounded);
}

template <class D, class T>
HWY_INLINE void store(Simd<D> x, T* to, Whole) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    hn::Rebind<uint16_t, D> d16;
    auto upper = hn::ShiftRight<16>(bf16_bits(D(), x.v));
    hn::StoreU(hn::TruncateTo(d16, upper), d16, reinterpret_cast<uint16_t*>(to));
  } else {
    hn::StoreU(x.v, D(), to);
  }
}

template <class D, class T>
HWY_INLINE void store(Simd<D> x, T* to, size_t n) {
  HWY_ALIGN T lanes[hn::MaxLanes(D())];
  store(x, lanes, Whole());
  std::memcpy(to, lanes, n * sizeof(T));
}

// f(i, n) for every vector of [begin, end): n is Whole(), or for the last one what is left; both
// fit load and store.
template <class D, class F>
HWY_INLINE void for_vectors(D d, int64_t begin, int64_t end, F&& f) {
  const auto lanes = int64_t(hn::Lanes(d));
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) f(i, Whole());
  if (i < end) f(i, size_t(end - i));
}

// x with zeros in the lanes that store(x, to, n) leaves out; for sums of what is not zero there.
template <class D>
HWY_INLINE Simd<D> stored_lanes(Simd<D> x, Whole) {
  return x;
}
template <class D>
HWY_INLINE Simd<D> stored_lanes(Simd<D> x, size_t n) {
  return hn::IfThenElseZero(hn::FirstN(D(), n), x.v);
}

template <class D>
HWY_INLINE hn::TFromD<D> sum(Simd<D> x) {
  return hn::GetLane(hn::SumOfLanes(D(), x.v));
}

// --- dropout masks
#if HWY_TARGET == HWY_SCALAR

// The factors of the eight elements of one Philox block.
struct FactorGroup {
  static constexpr size_t blocks = 1;
  const Dropout& dropout;
  float kept;
  void operator()(uint64_t block, float* to) const {
    auto words = dropout.stream.block(block);
    for (size_t i = 0; i < 8; ++i) {
      uint32_t number = words[i / 2] >> (i % 2 * 16) & 0xffff;
      to[i] = number >= dropout.threshold ? kept : 0.0f;
    }
  }
};

#else

// The 16-bit numbers of the Lanes(u64) Philox blocks from `block` on, in order, as two vectors of
// u16. Each 32-bit word of the state sits in the low half of a 64-bit lane; what the
// multiplications leave in the high half is ignored by the next one.
template <class V16>
HWY_INLINE void philox_numbers(const RandomStream& stream, uint64_t block, V16& first,
                               V16& second) {
  const hn::ScalableTag<uint64_t> d64;
  const hn::Repartition<uint32_t, decltype(d64)> d32;
  const hn::Repartition<uint16_t, decltype(d64)> d16;
  const auto multiply = [&](uint32_t factor, auto c) HWY_ATTR {
    return hn::MulEven(hn::BitCast(d32, hn::Set(d64, factor)), hn::BitCast(d32, c));
  };
  // Lane 2k holds block k and lane 2k + 1 block k + lanes / 2, which interleaving puts in order.
  const auto lane = hn::Iota(d64, 0);
  const auto half = hn::Set(d64, hn::Lanes(d64) / 2);
  const auto odd = hn::Eq(hn::And(lane, hn::Set(d64, 1)), hn::Set(d64, 1));
  auto c0 =
      hn::Add(hn::Set(d64, block), hn::Add(hn::ShiftRight<1>(lane), hn::IfThenElseZero(odd, half)));
  auto c1 = hn::ShiftRight<32>(c0);
  auto c2 = hn::Set(d64, stream.stream);
  auto c3 = hn::Set(d64, stream.stream >> 32);
  auto k0 = uint32_t(stream.seed), k1 = uint32_t(stream.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    auto p0 = multiply(0xD2511F53u, c0), p1 = multiply(0xCD9E8D57u, c2);
    c0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), c1), hn::Set(d64, k0));
    c2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), c3), hn::Set(d64, k1));
    c1 = p1;
    c3 = p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  const auto join = [&](auto low, auto high) HWY_ATTR {
    return hn::BitCast(
        d64, hn::OddEven(hn::BitCast(d32, hn::ShiftLeft<32>(high)), hn::BitCast(d32, low)));
  };
  auto low = join(c0, c1), high = join(c2, c3);
  first = hn::BitCast(d16, hn::InterleaveLower(d64, low, high));
  second = hn::BitCast(d16, hn::InterleaveUpper(d64, low, high));
}

// The factors of the 8 * blocks elements from Philox block `block` on.
struct FactorGroup {
  static constexpr size_t blocks = hn::MaxLanes(hn::ScalableTag<uint64_t>());
  const Dropout& dropout;
  float kept;
  void operator()(uint64_t block, float* to) const {
    const hn::ScalableTag<uint16_t> d16;
    const hn::Half<decltype(d16)> half;
    const size_t lanes = hn::Lanes(half);
    hn::Vec<decltype(d16)> a, b;
    philox_numbers(dropout.stream, block, a, b);
    put(hn::LowerHalf(half, a), to);
    put(hn::UpperHalf(half, a), to + lanes);
    put(hn::LowerHalf(half, b), to + 2 * lanes);
    put(hn::UpperHalf(half, b), to + 3 * lanes);
  }

 private:
  template <class V>
  void put(V numbers, float* to) const {
    const hn::ScalableTag<int32_t> d32;
    const hn::ScalableTag<float> df;
    auto below = hn::Set(d32, int32_t(dropout.threshold) - 1);
    auto keep = hn::Gt(hn::PromoteTo(d32, numbers), below);
    hn::StoreU(hn::IfThenElseZero(hn::RebindMask(df, keep), hn::Set(df, kept)), df, to);
  }
};

#endif

// out[i] = kept if dropout.keeps(first + i), else 0, for i in [0, n); `first` need not be aligned.
inline void dropout_factors(const Dropout& dropout, uint64_t first, size_t n, float kept,
                            float* out) {
  const FactorGroup group{dropout, kept};
  constexpr size_t width = 8 * FactorGroup::blocks;
  HWY_ALIGN float edge[width];
  uint64_t block = first / 8;
  size_t skip = first % 8;
  for (size_t done = 0; done < n; block += FactorGroup::blocks) {
    if (skip == 0 && n - done >= width) {
      group(block, out + done);
      done += width;
    } else {
      group(block, edge);
      const size_t count = std::min(width - skip, n - done);
      std::memcpy(out + done, edge + skip, count * sizeof(float));
      done += count;
      skip = 0;
    }
  }
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // FOLIO_CORE_CPU_SIMD_INL_H_
