#pragma once
#include <hwy/highway.h>

#include "core/cpu/gemm.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Four = hn::FixedTag<float, 4>;
using V = hn::Vec<Four>;

HWY_INLINE V load_four(const float* from) { return hn::LoadU(Four(), from); }
HWY_INLINE V load_four(const bfloat16* from) {
  const hn::Rebind<uint16_t, Four> d16;
  const hn::Rebind<uint32_t, Four> d32;
  const auto bits = hn::PromoteTo(d32, hn::LoadU(d16, reinterpret_cast<const uint16_t*>(from)));
  return hn::BitCast(Four(), hn::ShiftLeft<16>(bits));
}

// Four rows of four, `stride` apart, turned.
template <class T>
HWY_INLINE void turn_four(const T* from, int64_t stride, float* to, int64_t to_stride) {
  const Four d;
  const hn::Repartition<uint64_t, Four> d64;
  const auto pairs = [&](V x) HWY_ATTR { return hn::BitCast(d64, x); };
  const V a = load_four(from), b = load_four(from + stride);
  const V e = load_four(from + 2 * stride), f = load_four(from + 3 * stride);
  const auto ab_low = pairs(hn::InterleaveLower(d, a, b));
  const auto ab_high = pairs(hn::InterleaveUpper(d, a, b));
  const auto ef_low = pairs(hn::InterleaveLower(d, e, f));
  const auto ef_high = pairs(hn::InterleaveUpper(d, e, f));
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_low, ef_low)), d, to);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_low, ef_low)), d, to + to_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveLower(d64, ab_high, ef_high)), d, to + 2 * to_stride);
  hn::StoreU(hn::BitCast(d, hn::InterleaveUpper(d64, ab_high, ef_high)), d, to + 3 * to_stride);
}

// `count` lines, at most `width`, of `depth` numbers each -> [depth][width] in f32, zeros beyond
// count. The numbers of a line are neighbours, or (`across`) `stride` apart, those of other lines
// between them.
template <int64_t width, class T>
HWY_INLINE void pack_lines(const T* from, int64_t stride, bool across, int64_t count, int64_t depth,
                           float* to) {
  int64_t k = 0;
  if (count == width && across) {
    for (; k < depth; ++k) {
      for (int64_t i = 0; i < width; i += 4)
        hn::StoreU(load_four(from + k * stride + i), Four(), to + k * width + i);
    }
  } else if (count == width) {
    for (; k + 4 <= depth; k += 4) {
      for (int64_t i = 0; i < width; i += 4)
        turn_four(from + i * stride + k, stride, to + k * width + i, width);
    }
  }
  for (; k < depth; ++k) {
    for (int64_t i = 0; i < width; ++i)
      to[k * width + i] =
          i < count ? float(across ? from[k * stride + i] : from[i * stride + k]) : 0;
  }
}

// 8 x 12 sums in 24 of the 32 vector registers: each step over k loads 8 numbers of a and 12 of b
// and multiplies each by each. Operands may be f32 or bf16, which is widened as it is packed.
struct F32Tile {
  using Element = float;
  static constexpr int64_t rows = 8, cols = 12, group = 1, block_depth = 256;

  template <int64_t width>
  static void pack(const Operand& x, bool across, int64_t count, int64_t depth, float* to) {
    if (x.dtype == DType::bf16) {
      pack_lines<width>(static_cast<const bfloat16*>(x.data), x.stride, across, count, depth, to);
    } else {
      pack_lines<width>(static_cast<const float*>(x.data), x.stride, across, count, depth, to);
    }
  }

  // c [rows, cols] (+)= a b, a [depth][rows], b [depth][cols].
  HWY_NOINLINE static void multiply(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                                    int64_t depth, float* HWY_RESTRICT c, int64_t ldc,
                                    bool accumulate) {
    const Four d;
    V sum[rows][3];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) sum[r][0] = sum[r][1] = sum[r][2] = hn::Zero(d);
    const auto add = [&](V x, V b0, V b1, V b2, V(&row)[3]) HWY_ATTR {
      row[0] = hn::MulAdd(x, b0, row[0]);
      row[1] = hn::MulAdd(x, b1, row[1]);
      row[2] = hn::MulAdd(x, b2, row[2]);
    };
    for (int64_t k = 0; k < depth; ++k, a += rows, b += cols) {
      const V b0 = hn::LoadU(d, b), b1 = hn::LoadU(d, b + 4), b2 = hn::LoadU(d, b + 8);
      const V low = hn::LoadU(d, a), high = hn::LoadU(d, a + 4);
      add(hn::Broadcast<0>(low), b0, b1, b2, sum[0]);
      add(hn::Broadcast<1>(low), b0, b1, b2, sum[1]);
      add(hn::Broadcast<2>(low), b0, b1, b2, sum[2]);
      add(hn::Broadcast<3>(low), b0, b1, b2, sum[3]);
      add(hn::Broadcast<0>(high), b0, b1, b2, sum[4]);
      add(hn::Broadcast<1>(high), b0, b1, b2, sum[5]);
      add(hn::Broadcast<2>(high), b0, b1, b2, sum[6]);
      add(hn::Broadcast<3>(high), b0, b1, b2, sum[7]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r, c += ldc) {
#pragma GCC unroll 3
      for (int v = 0; v < 3; ++v) {
        if (accumulate) sum[r][v] = hn::Add(sum[r][v], hn::LoadU(d, c + 4 * v));
        hn::StoreU(sum[r][v], d, c + 4 * v);
      }
    }
  }
};

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
