#pragma once
#include <bit>
#include <cstdint>

namespace folio {

// The upper half of an f32 (8 exponent bits, 7 mantissa bits). Rounds to nearest even; NaN stays
// NaN.
struct bfloat16 {
  uint16_t bits = 0;

  bfloat16() = default;
  constexpr explicit bfloat16(float value) {
    uint32_t u = std::bit_cast<uint32_t>(value);
    bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = nan ? uint16_t((u >> 16) | 0x40) : uint16_t((u + 0x7fff + ((u >> 16) & 1)) >> 16);
  }
  constexpr operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
};
static_assert(sizeof(bfloat16) == 2);

}  // namespace folio
