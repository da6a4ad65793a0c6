// Tiles of 8 x 12 elements, whose sums take 24 of the 32 vector registers: each step over k loads 8
// numbers of a and 12 of b, packed side by side, and multiplies each by each. A block of a stays in
// the second cache while 12 columns of b at a time pass through the first.
#include "core/cpu/arm64/tiled_gemm.h"

#include <hwy/highway.h>

#include "core/cpu/scratch.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Four = hn::FixedTag<float, 4>;
using V = hn::Vec<Four>;

constexpr int64_t tile_rows = 8, tile_cols = 12;
constexpr int64_t block_rows = 256, block_depth = 256;  // of a: 256 KiB
constexpr int64_t tile_size = tile_rows * tile_cols;

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

template <int64_t width>
void pack(const Operand& x, bool across, int64_t count, int64_t depth, float* to) {
  if (x.dtype == DType::bf16) {
    pack_lines<width>(static_cast<const bfloat16*>(x.data), x.stride, across, count, depth, to);
  } else {
    pack_lines<width>(static_cast<const float*>(x.data), x.stride, across, count, depth, to);
  }
}

// c [8, 12] (+)= a b, a [depth][8], b [depth][12].
HWY_NOINLINE void multiply_tile(const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                                int64_t depth, float* HWY_RESTRICT c, int64_t ldc,
                                bool accumulate) {
  const Four d;
  V sum[tile_rows][3];
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r) sum[r][0] = sum[r][1] = sum[r][2] = hn::Zero(d);
  const auto add = [&](V x, V b0, V b1, V b2, V(&row)[3]) HWY_ATTR {
    row[0] = hn::MulAdd(x, b0, row[0]);
    row[1] = hn::MulAdd(x, b1, row[1]);
    row[2] = hn::MulAdd(x, b2, row[2]);
  };
  for (int64_t k = 0; k < depth; ++k, a += tile_rows, b += tile_cols) {
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
  for (int r = 0; r < tile_rows; ++r, c += ldc) {
#pragma GCC unroll 3
    for (int v = 0; v < 3; ++v) {
      if (accumulate) sum[r][v] = hn::Add(sum[r][v], hn::LoadU(d, c + 4 * v));
      hn::StoreU(sum[r][v], d, c + 4 * v);
    }
  }
}

// The same at an edge of c, [rows, cols] of it.
void multiply_edge(const float* a, const float* b, int64_t depth, float* c, int64_t ldc,
                   int64_t rows, int64_t cols, bool accumulate) {
  float tile[tile_size];
  multiply_tile(a, b, depth, tile, tile_cols, false);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < cols; ++j)
      c[r * ldc + j] = tile[r * tile_cols + j] + (accumulate ? c[r * ldc + j] : 0);
  }
}

// For a block of a, [m, depth].
void multiply_block(int64_t m, int64_t n, int64_t depth, const Operand& a, const Operand& b,
                    float* c, int64_t ldc, bool accumulate, float* packed_a, float* packed_b) {
  for (int64_t i = 0; i < m; i += tile_rows)
    pack<tile_rows>(a.at(i, 0), a.transposed, std::min(tile_rows, m - i), depth,
                    packed_a + i * depth);
  for (int64_t j = 0; j < n; j += tile_cols) {
    const int64_t cols = std::min(tile_cols, n - j);
    pack<tile_cols>(b.at(0, j), !b.transposed, cols, depth, packed_b);
    for (int64_t i = 0; i < m; i += tile_rows) {
      const int64_t rows = std::min(tile_rows, m - i);
      float* to = c + i * ldc + j;
      if (rows == tile_rows && cols == tile_cols) {
        multiply_tile(packed_a + i * depth, packed_b, depth, to, ldc, accumulate);
      } else {
        multiply_edge(packed_a + i * depth, packed_b, depth, to, ldc, rows, cols, accumulate);
      }
    }
  }
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

namespace folio {

void tiled_gemm(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, float* c,
                int64_t ldc, bool accumulate) {
  namespace hn = HWY_NAMESPACE;
  const int64_t depth = std::min(k, hn::block_depth);
  const int64_t rows = (std::min(m, hn::block_rows) + hn::tile_rows - 1) / hn::tile_rows;
  const int64_t size_a = rows * hn::tile_rows * depth, size_b = hn::tile_cols * depth;
  Scratch scratch(Scratch::bytes_for<float>(size_a) + Scratch::bytes_for<float>(size_b));
  float *packed_a = scratch.take<float>(size_a), *packed_b = scratch.take<float>(size_b);
  for (int64_t l = 0; l < k; l += depth) {
    for (int64_t i = 0; i < m; i += hn::block_rows) {
      hn::multiply_block(std::min(hn::block_rows, m - i), n, std::min(depth, k - l), a.at(i, l),
                         b.at(l, 0), c + i * ldc, ldc, accumulate || l > 0, packed_a, packed_b);
    }
  }
}

}  // namespace folio
