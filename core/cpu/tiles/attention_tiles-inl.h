// Attention's products by a matrix unit, in the layouts of attention_math-inl.h: what those call
// rows are row tiles as they lie, what they call a stack are panels. Compiled once per SIMD target,
// hence the toggled guard.
#if defined(FOLIO_CORE_CPU_TILES_ATTENTION_TILES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_TILES_ATTENTION_TILES_INL_H
#undef FOLIO_CORE_CPU_TILES_ATTENTION_TILES_INL_H
#else
#define FOLIO_CORE_CPU_TILES_ATTENTION_TILES_INL_H
#endif

#include "core/cpu/attention_math-inl.h"
#include "core/cpu/tiles/packing.h"
#include "core/cpu/tiles/tile_unit.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// Keys, queries and columns that tiles are computed in.
constexpr int64_t tile_block = 32;

// Row tiles of rows of numbers, `row` apart.
inline TilesAt row_tiles(const uint32_t* rows, int64_t row) {
  return {reinterpret_cast<const bfloat16*>(rows), row, tile_depth, folio::tile_rows * row};
}
// Panels of a stack [depth / 2, columns], or of what transpose() made of rows.
inline TilesAt panels(const uint32_t* stack, int64_t columns) {
  return {reinterpret_cast<const bfloat16*>(stack), 2 * columns, tile_depth * columns,
          2 * panel_columns};
}

// The transpose of rows [n, D] as row tiles, [width / 16][n / 32][16][32] numbers; n is its depth.
struct TransposedRows {
  uint32_t* tiles;
  int64_t n;

  int64_t depth() const { return (n + tile_depth - 1) / tile_depth; }
  void load(const bfloat16* from, int64_t stride, int64_t D, int64_t width) const {
    const Operand transposed{from, DType::bf16, stride, true};
    auto* to = reinterpret_cast<bfloat16*>(tiles);
    for (int64_t i = 0; i < width; i += folio::tile_rows) {
      pack_row_tile(transposed.at(std::min(i, D), 0),
                    std::clamp<int64_t>(D - i, 0, folio::tile_rows), n, to);
      to += depth() * folio::tile_rows * tile_depth;
    }
  }
  // From `begin` of the depth on, a multiple of 32.
  TilesAt from(int64_t begin) const {
    TilesAt at = packed_row_tiles(reinterpret_cast<const bfloat16*>(tiles), depth());
    at.at += begin / tile_depth * at.depth;
    return at;
  }
};

// c [rows, columns] = a b, or +=; rows and columns are multiples of 32.
inline void multiply_tiles(const TileUnit& unit, TilesAt a, TilesAt b, int64_t rows,
                           int64_t columns, int64_t depth, float* c, int64_t c_stride,
                           bool accumulate) {
  for (int64_t i = 0; i < rows; i += tile_block, a.at += 2 * a.next, c += tile_block * c_stride)
    unit.multiply({a, b, depth / tile_depth, columns / panel_columns, c, c_stride, 2, accumulate});
}

// Zeros for keys [begin, end) of a stack from key 0 on, for 16 queries at `stack`.
inline void clear_stack(uint32_t* stack, int64_t stride, int64_t begin, int64_t end) {
  for (int64_t key = begin; key < end; key += 2) std::fill_n(stack + key / 2 * stride, 16, 0u);
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
