#pragma once
#include <arm_neon.h>

#include <algorithm>

#include "core/cpu/gemm.h"

#define FOLIO_BF16 __attribute__((target("arch=armv8.2-a+bf16")))

namespace folio {

// 8 x 8 sums by BFMMLA, which multiplies 2 rows of a, 4 deep, by 2 columns of b: 16 registers of
// 2 x 2 sums. It rounds as BFDOT does (dot_kernels.h). Operands are bf16.
struct Bf16Tile {
  using Element = uint16_t;  // the bits of a bfloat16
  static constexpr int64_t rows = 8, cols = 8, group = 4, block_depth = 512;

  // `count` lines, at most `width`, of `depth` numbers each -> [depth / 4][width][4], zeros beyond
  // count and depth. The numbers of a line are neighbours, or (`across`) `stride` apart, those of
  // other lines between them.
  template <int64_t width>
  static void pack(const Operand& x, bool across, int64_t count, int64_t depth, uint16_t* to) {
    const auto* from = static_cast<const uint16_t*>(x.data);
    int64_t k = 0;
    if (count == width) {
      for (; k + 4 <= depth; k += 4, to += 4 * width) {
        if (across) {
          const uint16_t* at = from + k * x.stride;
          for (int64_t i = 0; i < width; i += 4, at += 4) {
            const uint16x4x4_t four = {vld1_u16(at), vld1_u16(at + x.stride),
                                       vld1_u16(at + 2 * x.stride), vld1_u16(at + 3 * x.stride)};
            vst4_u16(to + 4 * i, four);
          }
        } else {
          for (int64_t i = 0; i < width; ++i)
            vst1_u16(to + 4 * i, vld1_u16(from + i * x.stride + k));
        }
      }
    }
    for (; k < depth; k += 4, to += 4 * width) {
      for (int64_t i = 0; i < 4 * width; ++i) {
        const int64_t line = i / 4, at = k + i % 4;
        const bool inside = line < count && at < depth;
        to[i] = inside ? from[across ? at * x.stride + line : line * x.stride + at] : 0;
      }
    }
  }

  // c [rows, cols] (+)= a b, a [depth / 4][rows][4], b [depth / 4][cols][4].
  FOLIO_BF16 static void multiply(const uint16_t* a, const uint16_t* b, int64_t depth, float* c,
                                  int64_t ldc, bool accumulate) {
    constexpr int down = rows / 2, across = cols / 2;
    float32x4_t sum[down][across];
#pragma GCC unroll 4
    for (int i = 0; i < down; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < across; ++j) sum[i][j] = vdupq_n_f32(0);
    }
    const auto load = [](const uint16_t* from)
                          FOLIO_BF16 { return vreinterpretq_bf16_u16(vld1q_u16(from)); };
    for (int64_t k = 0; k < depth; k += 4, a += 4 * rows, b += 4 * cols) {
      const bfloat16x8_t x[down] = {load(a), load(a + 8), load(a + 16), load(a + 24)};
#pragma GCC unroll 4
      for (int j = 0; j < across; ++j) {
        const bfloat16x8_t y = load(b + 8 * j);
#pragma GCC unroll 4
        for (int i = 0; i < down; ++i) sum[i][j] = vbfmmlaq_f32(sum[i][j], x[i], y);
      }
    }
    const auto put = [&](float32x2_t left, float32x2_t right, float* to) {
      float32x4_t four = vcombine_f32(left, right);
      if (accumulate) four = vaddq_f32(four, vld1q_f32(to));
      vst1q_f32(to, four);
    };
#pragma GCC unroll 4
    for (int i = 0; i < down; ++i, c += 2 * ldc) {
#pragma GCC unroll 2
      for (int j = 0; j < across; j += 2) {
        const float32x4_t left = sum[i][j], right = sum[i][j + 1];
        put(vget_low_f32(left), vget_low_f32(right), c + 2 * j);
        put(vget_high_f32(left), vget_high_f32(right), c + ldc + 2 * j);
      }
    }
  }
};

}  // namespace folio
