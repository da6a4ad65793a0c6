#pragma once
#include <bit>
#include <cstdint>

namespace folio {

// The value of IEEE 754's binary16: 1 sign, 5 exponent, 10 mantissa bits. Exact.
inline float half_to_float(uint16_t half) {
  uint32_t sign = uint32_t(half & 0x8000) << 16;
  uint32_t magnitude = uint32_t(half & 0x7fff) << 13;  // in f32's layout, exponent 112 too small
  if (magnitude >= 0x0f800000) return std::bit_cast<float>(sign | 0x70000000 | magnitude);  // inf
  // A product by 2^112 moves the exponent, and makes subnormal halves normal.
  float value = std::bit_cast<float>(magnitude) * 0x1p112f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(value));
}

}  // namespace folio
