#pragma once
#include <cstdint>

#include "core/bfloat16.h"
#include "core/cpu/dot_kernels.h"

namespace folio {

// A matrix unit multiplies tiles of 16 rows of 64 bytes: c [16, 16] += a [16, 32] b [32, 16], bf16
// with sums in f32. a lies as its rows. b lies in pairs of neighbours in the depth, [16 pairs][16
// columns][2], and two tiles of columns side by side: a panel of 32 columns is [depth / 2][32][2].
//
// Intel's manual on TDPBF16PS: the even and the odd products of each element of c are two chains of
// fused multiply-adds from zero, the depth ascending; their sum is added to c. Rounding is to
// nearest even, numbers below f32's normal ones count as zero in and out, and the control register
// is not asked. What folio relies on is less: an element of c depends on its own row of a, its own
// column of b and its own sum so far, the depth is taken in order, and no step is off by more than
// roundings to f32.
inline constexpr int64_t tile_rows = 16, tile_depth = 32, panel_columns = 32;

// Where tiles lie, in elements: tile or panel i at depth d (in tiles) begins at `at + i * next + d
// * depth`, and its rows, of b pairs of rows, are `row` apart.
struct TilesAt {
  const bfloat16* at;
  int64_t row, depth, next;
};
// As core/cpu/tiles/packing.h lays them out: [tiles][depth][16][32], and [panels][depth][16][32][2]
// with panels `next` apart.
inline TilesAt packed_row_tiles(const bfloat16* at, int64_t depth) {
  return {at, tile_depth, tile_rows * tile_depth, depth * tile_rows * tile_depth};
}
inline TilesAt packed_panels(const bfloat16* at, int64_t next) {
  return {at, 2 * panel_columns, tile_depth * panel_columns, next};
}

// c [16 row_tiles, 32 blocks] = a b, or += with `accumulate`.
struct TileProduct {
  TilesAt a, b;
  int64_t depth;   // in tiles
  int64_t blocks;  // panels of b
  float* c;
  int64_t c_stride;   // elements from one row to the next
  int row_tiles = 2;  // 1 or 2
  bool accumulate = false;
  bool from_memory = false;  // b, and what lies behind it, is in no cache: it is fetched ahead
};

// 32 weights of each of 32 rows of w, in signed bytes: scale * q, where q is [k / 4][row][k % 4] as
// the unit takes it, four neighbours in the depth at a time.
struct ByteRecord {
  int8_t q[block_size * block_size];
  float scale[block_size];
};

struct TileUnit {
  // The calling thread multiplies tiles of `rows` rows of a and c (1 to 16) until end(); with
  // fewer than 16, the rows after them are neither read nor written. What the unit held is lost.
  void (*begin)(int rows);
  void (*end)();
  void (*multiply)(const TileProduct&);

  // The same for multiply_bytes.
  void (*begin_bytes)();
  // tile [16, 32] = x w^T of activations x [blocks][16] and a panel w [blocks]. A block's products
  // are summed as integers; the scales follow as in core/cpu/packed_blocks-inl.h: the bits are
  // those of any other kernel.
  void (*multiply_bytes)(const ActivationBlock* x, const ByteRecord* w, int64_t blocks,
                         float* tile);
};

// What this process may use: AMX, where the processor has it and the system allows it. Null: there
// is none, and products go other ways.
const TileUnit* tile_unit();

// For tests, and for measuring what the unit is worth: `portable` computes the same in vectors.
enum class UseTiles : uint8_t { off, portable, hardware };
void use_tiles(UseTiles use);
// Whether `hardware` has any.
bool has_hardware_tiles();

// The calling thread's use of the unit, for one task.
class TileSession {
 public:
  struct Bytes {};
  explicit TileSession(const TileUnit& unit, int rows = int(tile_rows)) : unit_(unit) {
    unit_.begin(rows);
  }
  TileSession(const TileUnit& unit, Bytes) : unit_(unit) { unit_.begin_bytes(); }
  ~TileSession() { unit_.end(); }
  TileSession(const TileSession&) = delete;
  TileSession& operator=(const TileSession&) = delete;

 private:
  const TileUnit& unit_;
};

}  // namespace folio
