#pragma once
#include <cstdint>

namespace folio {

// Rows of x go through a kernel in blocks of k whose rows are `stride_k` apart: a constant, so that
// one pointer addresses every row, and no power of two, so that they do not share cache sets.
inline constexpr int64_t block_k = 256;
inline constexpr int64_t stride_k = block_k + 16;

// A block of rows goes through a kernel together, a chunk of blocks shares each panel of w while it
// is in the cache. Blocks differ by at most one row.
struct RowBlocks {
  int64_t rows, blocks, chunks;

  RowBlocks(int64_t rows, int64_t max_rows, int64_t blocks_per_chunk = 4)
      : rows(rows),
        blocks((rows + max_rows - 1) / max_rows),
        chunks((blocks + blocks_per_chunk - 1) / blocks_per_chunk) {}
  int64_t begin(int64_t block) const { return rows * block / blocks; }
  int64_t first_block(int64_t chunk) const { return blocks * chunk / chunks; }
};

}  // namespace folio
