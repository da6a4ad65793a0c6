// Weights by a matrix unit: in bfloat16 from the layout of packed_pairs-inl.h where its panels have
// 32 columns, in blocks of 8 or 4 bits for more rows than the kernels of packed_blocks-inl.h take.
// Compiled once per SIMD target, hence the toggled guard.
#if defined(FOLIO_CORE_CPU_TILES_PACKED_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FOLIO_CORE_CPU_TILES_PACKED_TILES_INL_H_
#undef FOLIO_CORE_CPU_TILES_PACKED_TILES_INL_H_
#else
#define FOLIO_CORE_CPU_TILES_PACKED_TILES_INL_H_
#endif

#include "core/cpu/packed_blocks-inl.h"
#include "core/cpu/packed_pairs-inl.h"
#include "core/cpu/simd-inl.h"
#include "core/cpu/tiles/tile_unit.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// Every number of rows goes through tiles, for the unit's sums are not those of other kernels.
struct TileProductOfPairs {
  using Sum = float;
  using Row = bfloat16;
  static constexpr int panel = int(panel_columns), max_rows = int(2 * folio::tile_rows);
  static constexpr bool fits = PairProduct::panel == panel;
  int64_t K;
  const TileUnit* unit;
  int64_t rows;  // in all

  int64_t depth() const { return (K + tile_depth - 1) / tile_depth; }
  int64_t row_size() const { return depth() * tile_depth; }
  int64_t height() const { return std::min(rows, folio::tile_rows); }  // of a tile
  using Panel = char;
  int64_t expanded_size() const { return 0; }
  const void* expand(const void* panel, Panel*) const { return panel; }
  // Rows of x that share a panel fill half of a cache of 2 MB.
  int64_t blocks_per_chunk() const {
    return std::max<int64_t>(1, (int64_t(1) << 19) / (max_rows * row_size()));
  }
  TileSession session() const { return TileSession(*unit, int(height())); }

  // x [rows, K], rounded to bf16 -> [row tiles][depth][16][32], with zeros in rows that a tile has
  // beyond them.
  template <class X>
  void pack_rows(const X* x, int64_t count, bfloat16* packed) const {
    const Tag<float> d;
    constexpr int64_t tile = folio::tile_rows * tile_depth;
    const int64_t tiles = count > folio::tile_rows ? 2 : 1;
    for (int64_t r = 0; r < tiles * height(); ++r) {
      bfloat16* to = packed + r / height() * depth() * tile + r % height() * tile_depth;
      for (int64_t k = 0; k < row_size(); k += tile_depth, to += tile) {
        const int64_t deep = r < count ? std::min(tile_depth, K - k) : 0;
        for_vectors(d, 0, deep, [&](int64_t j, auto n) HWY_ATTR {
          store(load(d, x + r * K + k + j, n), to + j, n);
        });
        std::fill(to + deep, to + tile_depth, bfloat16());
      }
    }
  }
  void multiply(int64_t count, const bfloat16* x, const void* w, float* tile) const {
    const int tiles = count > folio::tile_rows ? 2 : 1;
    const bool from_memory = rows <= max_rows;  // no other rows meet the panel
    unit->multiply({packed_row_tiles(x, depth()), packed_panels(static_cast<const bfloat16*>(w), 0),
                    depth(), 1, tile, panel, tiles, false, from_memory});
  }
};

// The record in signed bytes, as a unit takes it.
template <WeightFormat format>
HWY_INLINE void expand_record(const uint8_t* record, ByteRecord& to) {
  const hn::CappedTag<uint8_t, 64> d8;
  const int64_t lanes = int64_t(hn::Lanes(d8));
  auto* q = reinterpret_cast<uint8_t*>(to.q);
  const auto put = [&](auto u, uint8_t* at)
                       HWY_ATTR { hn::StoreU(hn::Xor(u, hn::Set(d8, 128)), d8, at); };
  if constexpr (format == WeightFormat::int8) {
    for (int64_t i = 0; i < weight_bytes(format); i += lanes) put(hn::LoadU(d8, record + i), q + i);
  } else {
    const auto levels = hn::LoadDup128(d8, int4_levels.data());
    const auto low = hn::Set(d8, 15);
    const hn::Repartition<uint16_t, decltype(d8)> d16;
    constexpr int64_t four = 4 * block_size;  // bytes of four k; two of them share theirs
    for (int64_t i = 0; i < weight_bytes(format); i += lanes) {
      const auto two = hn::LoadU(d8, record + i);
      const auto high = hn::BitCast(d8, hn::ShiftRight<4>(hn::BitCast(d16, two)));
      uint8_t* at = q + i / four * 2 * four + i % four;
      put(hn::TableLookupBytes(levels, hn::And(two, low)), at);
      put(hn::TableLookupBytes(levels, hn::And(high, low)), at + four);
    }
  }
  const auto* scales = reinterpret_cast<const bfloat16*>(record + weight_bytes(format));
  std::copy_n(scales, block_size, to.scale);
}

// Blocks of 8 or 4 bits, 16 rows of x at a time.
template <WeightFormat format>
struct TileProductOfBlocks {
  using Sum = float;
  using Row = ActivationBlock;
  using Panel = ByteRecord;
  static constexpr int panel = int(block_size), max_rows = int(folio::tile_rows);
  int64_t K;
  const TileUnit* unit;

  int64_t row_size() const { return blocks_of(K); }
  int64_t expanded_size() const { return blocks_of(K); }
  int64_t blocks_per_chunk() const {
    return std::max<int64_t>(1,
                             (int64_t(1) << 20) / (max_rows * row_size() * int64_t(sizeof(Row))));
  }
  TileSession session() const { return {*unit, TileSession::Bytes()}; }

  // x [rows, K] -> [blocks][16], with zeros after the rows.
  template <class X>
  void pack_rows(const X* x, int64_t rows, ActivationBlock* packed) const {
    for (int64_t k = 0; k < K; k += block_size) {
      for (int64_t r = 0; r < rows; ++r)
        quantize_activations(x + r * K + k, std::min(block_size, K - k), *packed++);
      for (int64_t r = rows; r < max_rows; ++r) *packed++ = {};
    }
  }
  // Once for all rows that meet the panel.
  const void* expand(const void* panel, ByteRecord* to) const {
    constexpr int64_t ahead = 4096;
    const auto* record = static_cast<const uint8_t*>(panel);
    for (int64_t b = 0; b < row_size(); ++b, record += record_bytes(format)) {
      for (int64_t line = 0; line < record_bytes(format); line += 64)
        hwy::Prefetch(record + ahead + line);
      expand_record<format>(record, to[b]);
    }
    return to;
  }
  void multiply(int64_t, const ActivationBlock* x, const void* w, float* tile) const {
    unit->multiply_bytes(x, static_cast<const ByteRecord*>(w), row_size(), tile);
  }
};

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
