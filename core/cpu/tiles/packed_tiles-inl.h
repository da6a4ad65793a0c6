// Weights in bfloat16 by a matrix unit, from the layout of packed_pairs-inl.h where its panels have
// 32 columns. Compiled once per SIMD target, hence the toggled guard.
#if defined(FOLIO_CORE_CPU_TILES_PACKED_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_TILES_PACKED_TILES_INL_H_
#undef FOLIO_CORE_CPU_TILES_PACKED_TILES_INL_H_
#else
#define FOLIO_CORE_CPU_TILES_PACKED_TILES_INL_H_
#endif

#include "core/cpu/packed_pairs-inl.h"
#include "core/cpu/simd-inl.h"
#include "core/cpu/tiles/tile_unit.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

inline int tile_height(int64_t rows) { return int(std::min(rows, folio::tile_rows)); }

// Every number of rows goes through tiles, for the unit's sums are not those of other kernels.
struct TileProductOfPairs {
  using Sum = float;
  using Row = bfloat16;
  static constexpr int panel = int(panel_columns), max_rows = int(2 * folio::tile_rows);
  static constexpr bool fits = PairProduct::panel == panel;
  int64_t K;
  const TileUnit* unit;
  int height;  // rows of a tile: fewer than 16 where there are no more in all

  int64_t depth() const { return (K + tile_depth - 1) / tile_depth; }
  int64_t row_size() const { return depth() * tile_depth; }
  // Rows of x that share a panel fill half of a cache of 2 MB.
  RowBlocks row_blocks(int64_t rows) const {
    return {rows, max_rows, std::max<int64_t>(1, (int64_t(1) << 19) / (max_rows * row_size()))};
  }

  // x [rows, K], rounded to bf16 -> [row tiles][depth][16][32], with zeros in rows that a tile has
  // beyond them.
  template <class X>
  void pack_rows(const X* x, int64_t rows, bfloat16* packed) const {
    const Tag<float> d;
    constexpr int64_t tile = folio::tile_rows * tile_depth;
    const int64_t tiles = rows > folio::tile_rows ? 2 : 1;
    for (int64_t r = 0; r < tiles * height; ++r) {
      bfloat16* to = packed + r / height * depth() * tile + r % height * tile_depth;
      for (int64_t k = 0; k < row_size(); k += tile_depth, to += tile) {
        const int64_t count = r < rows ? std::min(tile_depth, K - k) : 0;
        for_vectors(d, 0, count, [&](int64_t j, auto n) HWY_ATTR {
          store(load(d, x + r * K + k + j, n), to + j, n);
        });
        std::fill(to + count, to + tile_depth, bfloat16());
      }
    }
  }
  // `alone`: no other rows meet the panel, which comes from memory.
  void multiply(int64_t rows, const bfloat16* x, const void* w, bool alone, float* tile) const {
    const int tiles = rows > folio::tile_rows ? 2 : 1;
    const auto* at = static_cast<const bfloat16*>(w);
    unit->multiply({packed_row_tiles(x, depth()), packed_panels(at, 0), depth(), 1, tile, panel,
                    tiles, false, alone});
  }
};

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
