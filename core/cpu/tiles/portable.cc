#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/tiles/portable.cc"
#include <hwy/foreach_target.h>
// foreach_target.h comes first: it includes this file once per SIMD target.
#include <cstring>
#include <limits>

#include "core/cpu/simd-inl.h"
#include "core/cpu/tiles/tile_unit.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// Numbers below the normal ones count as zero.
template <class D>
HWY_INLINE hn::Vec<D> flushed(D d, hn::Vec<D> x) {
  const auto smallest = hn::Set(d, std::numeric_limits<float>::min());
  return hn::IfThenZeroElse(hn::Lt(hn::Abs(x), smallest), x);
}

HWY_INLINE float flushed(float x) {
  return std::abs(x) < std::numeric_limits<float>::min() ? 0.0f : x;
}

// One row of one tile: c [16] += a [32] b, a panel of which the 16 columns begin at b.
HWY_INLINE void multiply_row(const bfloat16* a, const bfloat16* b, int64_t b_row, float* c) {
  const hn::CappedTag<float, 16> d;
  const hn::RebindToUnsigned<decltype(d)> d32;
  for (int64_t j = 0; j < 16; j += int64_t(hn::Lanes(d))) {
    auto even = hn::Zero(d), odd = hn::Zero(d);
    for (int64_t k = 0; k < tile_depth; k += 2) {
      const auto* from = reinterpret_cast<const uint32_t*>(b + k / 2 * b_row) + j;
      const auto pairs = hn::LoadU(d32, from);
      const auto low = flushed(d, hn::BitCast(d, hn::ShiftLeft<16>(pairs)));
      const auto high = flushed(d, hn::BitCast(d, hn::And(pairs, hn::Set(d32, 0xffff0000u))));
      even = flushed(d, hn::MulAdd(hn::Set(d, flushed(float(a[k]))), low, even));
      odd = flushed(d, hn::MulAdd(hn::Set(d, flushed(float(a[k + 1]))), high, odd));
    }
    const auto sum = flushed(d, hn::Add(even, odd));
    hn::StoreU(flushed(d, hn::Add(flushed(d, hn::LoadU(d, c + j)), sum)), d, c + j);
  }
}

void multiply_tiles(const TileProduct& p, int rows) {
  for (int64_t block = 0; block < p.blocks; ++block) {
    for (int64_t row = 0; row < p.row_tiles * tile_rows; ++row) {
      if (row % tile_rows >= rows) continue;
      float* c = p.c + row * p.c_stride + block * panel_columns;
      if (!p.accumulate) std::fill_n(c, panel_columns, 0.0f);
      const bfloat16* a = p.a.at + row / tile_rows * p.a.next + row % tile_rows * p.a.row;
      const bfloat16* b = p.b.at + block * p.b.next;
      for (int64_t k = 0; k < p.depth; ++k, a += p.a.depth, b += p.b.depth) {
        multiply_row(a, b, p.b.row, c);
        multiply_row(a, b + 32, p.b.row, c + 16);
      }
    }
  }
}

void multiply_bytes(const ActivationBlock* x, const ByteRecord* w, int64_t blocks, float* tile) {
  const hn::CappedTag<float, 16> d;
  const hn::RebindToSigned<decltype(d)> di;
  std::fill_n(tile, tile_rows * block_size, 0.0f);
  for (int64_t b = 0; b < blocks; ++b, ++w) {
    for (int64_t r = 0; r < tile_rows; ++r, ++x) {
      HWY_ALIGN int32_t dot[block_size] = {};
      for (int64_t k = 0; k < block_size; ++k)
        for (int64_t j = 0; j < block_size; ++j)
          dot[j] += x->q[k] * w->q[k / 4 * 4 * block_size + 4 * j + k % 4];
      float* sums = tile + r * block_size;
      for (int64_t j = 0; j < block_size; j += int64_t(hn::Lanes(d))) {
        const auto product = hn::Mul(hn::LoadU(d, w->scale + j), hn::Set(d, x->scale));
        const auto sum = hn::LoadU(d, sums + j);
        hn::StoreU(hn::MulAdd(hn::ConvertTo(d, hn::Load(di, dot + j)), product, sum), d, sums + j);
      }
    }
  }
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "core/check.h"
#include "core/cpu/tiles/portable.h"

namespace folio {

HWY_EXPORT(multiply_tiles);
HWY_EXPORT(multiply_bytes);

namespace {

thread_local int configured_rows = 0;
thread_local bool for_bytes = false;

void begin(int rows) {
  check(configured_rows == 0 && rows >= 1 && rows <= tile_rows, "tiles of {} rows", rows);
  configured_rows = rows;
}
void begin_bytes() {
  begin(int(tile_rows));
  for_bytes = true;
}
void end() {
  configured_rows = 0;
  for_bytes = false;
}
void multiply(const TileProduct& p) {
  check(configured_rows > 0 && !for_bytes, "tiles are multiplied outside a session");
  HWY_DYNAMIC_DISPATCH(multiply_tiles)(p, configured_rows);
}
void multiply_byte_tiles(const ActivationBlock* x, const ByteRecord* w, int64_t blocks,
                         float* tile) {
  check(for_bytes, "bytes are multiplied outside a session of their own");
  HWY_DYNAMIC_DISPATCH(multiply_bytes)(x, w, blocks, tile);
}

constexpr TileUnit unit{&begin, &end, &multiply, &begin_bytes, &multiply_byte_tiles};

}  // namespace

const TileUnit& portable_tiles() { return unit; }

}  // namespace folio
#endif
