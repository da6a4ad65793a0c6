#pragma once
#include <array>
#include <cstdint>

#include "core/weight_format.h"

namespace folio {

// How int8 and int4 weights w [N, K] lie, on every device and in files, which call it
// packed_layout 1: panels of 32 rows of w, a panel has ceil(K / 32) records, and a record is the 32
// x 32 weights at [panel, k], then one bf16 scale a row. A weight is scale * (u - 128). The four k
// that one dot-product instruction sums are neighbours: int8 keeps u as bytes [k / 4][row][k % 4];
// int4 keeps an index into int4_levels, two a byte, [k / 8][row][k % 4], the low half for k % 8
// < 4. What pads N and K multiplies to zero.
inline constexpr int64_t block_size = 32;  // weights under one scale, and rows of a panel
inline constexpr int64_t scale_bytes = block_size * 2;

constexpr int64_t blocks_of(int64_t n) { return n / block_size + (n % block_size != 0); }
constexpr int64_t weight_bytes(WeightFormat format) {
  return block_size * block_size / (format == WeightFormat::int4 ? 2 : 1);
}
constexpr int64_t record_bytes(WeightFormat format) { return weight_bytes(format) + scale_bytes; }

// A block of w or x, or a row of a cache, in which nothing is larger counts as zeros, so that no
// reciprocal or square leaves f32.
inline constexpr float smallest_block = 1e-15f;

// Lloyd's algorithm on blocks of 32 Gaussian numbers, each block scaled so that its largest meets
// an end of the list; then rounded. Its error is 7.4 % of the weights' norm, that of sixteen equal
// steps 8.1 %. The two ends differ, so the scale's sign carries information too.
inline constexpr std::array<int, 16> int4_values = {-127, -100, -79, -62, -47, -34, -21, -9,
                                                    2,    13,   25,  36,  50,  65,  83,  107};
inline constexpr std::array<uint8_t, 16> int4_levels = [] {
  std::array<uint8_t, 16> levels{};
  for (size_t i = 0; i < levels.size(); ++i) levels[i] = uint8_t(int4_values[i] + 128);
  return levels;
}();

}  // namespace folio
