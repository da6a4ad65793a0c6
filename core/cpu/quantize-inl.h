// Numbers into blocks of 8 and 4 bits: see packed_blocks.h. Compiled once per SIMD target, hence
// the toggled guard. Rounding is to even and every sum has one order on vectors of any length, so
// the blocks are the same bytes on every target.
#if defined(FOLIO_CORE_CPU_QUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_QUANTIZE_INL_H_
#undef FOLIO_CORE_CPU_QUANTIZE_INL_H_
#else
#define FOLIO_CORE_CPU_QUANTIZE_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/cpu/dot_kernels.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/packed_blocks.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// At most 16 lanes, so that a block is whole vectors.
template <class F>
using Lanes16 = hn::CappedTag<F, 16>;

// The largest magnitude among n numbers, a multiple of 16; NaN if any of them is not finite.
HWY_INLINE float largest_of(const float* x, int64_t n) {
  const Lanes16<float> d;
  auto largest = hn::Zero(d), not_finite = hn::Zero(d);
  for (int64_t k = 0; k < n; k += int64_t(hn::Lanes(d))) {
    const auto v = hn::Load(d, x + k);
    largest = hn::Max(largest, hn::Abs(v));
    not_finite = hn::MulAdd(v, hn::Zero(d), not_finite);
  }
  return hn::GetLane(hn::MaxOfLanes(d, largest)) + hn::GetLane(hn::SumOfLanes(d, not_finite));
}

struct Quantized {
  float scale;
  int32_t sum;  // of q
};

// values [n], n a multiple of 16 -> q [n], values = scale * q about. Not finite numbers make the
// scale NaN.
HWY_INLINE Quantized quantize(const float* values, int64_t n, int8_t* q) {
  const Lanes16<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::Rebind<int8_t, decltype(d)> d8;
  const float largest = largest_of(values, n);
  const bool zeros = largest < smallest_block;
  const auto inverse = hn::Set(d, zeros ? 0.0f : 127 / largest);
  auto sum = hn::Zero(di);
  for (int64_t k = 0; k < n; k += int64_t(hn::Lanes(d))) {
    const auto nearest = hn::NearestInt(hn::Mul(hn::Load(d, values + k), inverse));
    sum = hn::Add(sum, nearest);
    hn::StoreU(hn::DemoteTo(d8, nearest), d8, q + k);
  }
  return {zeros ? 0.0f : largest / 127, hn::GetLane(hn::SumOfLanes(di, sum))};
}

// x [count], zeros up to 32 -> the block.
template <class X>
void quantize_activations(const X* x, int64_t count, ActivationBlock& block) {
  const Lanes16<float> d;
  const int64_t lanes = int64_t(hn::Lanes(d));
  HWY_ALIGN float values[block_size];
  if (count == block_size) {
    for (int64_t k = 0; k < block_size; k += lanes) {
      hn::Store(load(d, x + k, Whole()).v, d, values + k);
    }
  } else {
    std::fill(std::copy_n(x, count, values), values + block_size, 0.0f);
  }
  const Quantized quantized = quantize(values, block_size, block.q);
  block.scale = quantized.scale;
  block.offset = -128 * quantized.sum;
}

// Where the record keeps the weight of row `row` at k.
HWY_INLINE int64_t int8_place(int64_t row, int64_t k) {
  return k / 4 * 4 * block_size + 4 * row + k % 4;
}
HWY_INLINE int64_t int4_place(int64_t row, int64_t k) {
  return k / 8 * 4 * block_size + 4 * row + k % 4;
}

// u - 128
template <WeightFormat format>
HWY_INLINE int weight_at(const uint8_t* record, int64_t row, int64_t k) {
  if constexpr (format == WeightFormat::int8) return record[int8_place(row, k)] - 128;
  return int4_values[size_t(record[int4_place(row, k)] >> (k % 8 < 4 ? 0 : 4) & 15)];
}

// The least bf16 that is not below x > 0.
HWY_INLINE bfloat16 round_up(float x) {
  bfloat16 result;
  result.bits = uint16_t((std::bit_cast<uint32_t>(x) + 0xffff) >> 16);
  return result;
}

// u [32] from values in units of the scale: the nearest of -127 to 127.
HWY_INLINE void nearest_int8(const float* values, float inverse, uint8_t* u) {
  const Lanes16<float> d;
  for (int64_t k = 0; k < block_size; k += int64_t(hn::Lanes(d))) {
    const auto q = hn::NearestInt(hn::Mul(hn::Load(d, values + k), hn::Set(d, inverse)));
    const auto places = hn::Add(q, hn::Set(hn::RebindToSigned<decltype(d)>(), 128));
    const hn::Rebind<uint8_t, decltype(d)> d8;
    hn::StoreU(hn::DemoteTo(d8, places), d8, u + k);
  }
}

// What the levels make of the values under a scale: the sums of value * level and of level^2.
struct LevelFit {
  float product = 0, square = 0;
  // The best scale for these levels leaves |values|^2 minus this.
  float explained() const { return square > 0 ? product * product / square : 0; }
};

// The nearest of int4_values to each value / scale. `index`, if given, receives them.
HWY_INLINE LevelFit nearest_levels(const float* values, float inverse, uint8_t* index) {
  const Lanes16<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  HWY_ALIGN float levels[block_size];
  for (int64_t k = 0; k < block_size; k += int64_t(hn::Lanes(d))) {
    const auto x = hn::Mul(hn::Load(d, values + k), hn::Set(d, inverse));
    auto level = hn::Set(d, float(int4_values[0]));
    auto place = hn::Zero(di);
    for (size_t i = 1; i < int4_values.size(); ++i) {
      const auto above = hn::Gt(x, hn::Set(d, 0.5f * float(int4_values[i - 1] + int4_values[i])));
      level = hn::IfThenElse(above, hn::Set(d, float(int4_values[i])), level);
      if (index) place = hn::Sub(place, hn::VecFromMask(di, hn::RebindMask(di, above)));
    }
    hn::Store(level, d, levels + k);
    if (index) {
      const hn::Rebind<uint8_t, decltype(d)> d8;
      hn::StoreU(hn::DemoteTo(d8, place), d8, index + k);
    }
  }
  float product[4] = {}, square[4] = {};  // four chains on every target
  for (int64_t k = 0; k < block_size; ++k) {
    product[k % 4] += levels[k] * values[k];
    square[k % 4] += levels[k] * levels[k];
  }
  const auto total = [](const float(&x)[4]) { return (x[0] + x[1]) + (x[2] + x[3]); };
  return {total(product), total(square)};
}

// The scale that leaves the least squared error: for either end of the levels, the largest value
// meets it, about, or passes it; then the least squares' own for the levels chosen.
HWY_INLINE bfloat16 int4_scale(const float* values, float largest) {
  const bool positive = std::find(values, values + block_size, largest) != values + block_size;
  const float extreme = positive ? largest : -largest;
  LevelFit best;
  for (const float end : {float(int4_values.front()), float(int4_values.back())}) {
    for (const float stretch : {0.85f, 0.95f, 1.05f}) {
      const LevelFit fit = nearest_levels(values, end / (stretch * extreme), nullptr);
      if (fit.explained() > best.explained()) best = fit;
    }
  }
  return bfloat16(best.product / best.square);
}

// w [count], zeros up to 32, into row `row` of the record. Not finite weights make the scale NaN.
template <WeightFormat format>
void quantize_weights(const float* w, int64_t count, uint8_t* record, int64_t row) {
  HWY_ALIGN float values[block_size];
  uint8_t u[block_size];
  std::fill(std::copy_n(w, count, values), values + block_size, 0.0f);
  const float largest = largest_of(values, block_size);
  bfloat16 scale;
  if (!(largest < smallest_block)) {
    scale = format == WeightFormat::int8 ? round_up(largest / 127) : int4_scale(values, largest);
    if (largest != largest) scale = bfloat16(largest);
  }
  const float inverse = float(scale) != 0 ? 1 / float(scale) : 0.0f;
  reinterpret_cast<bfloat16*>(record + weight_bytes(format))[row] = scale;
  if constexpr (format == WeightFormat::int8) {
    nearest_int8(values, inverse, u);
    for (int64_t k = 0; k < block_size; k += 4) std::memcpy(record + int8_place(row, k), u + k, 4);
  } else {
    nearest_levels(values, inverse, u);
    for (int64_t k = 0; k < block_size; ++k) {
      uint8_t& byte = record[int4_place(row, k)];
      byte = k % 8 < 4 ? u[k] : uint8_t(byte | u[k] << 4);
    }
  }
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
