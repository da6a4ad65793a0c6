#pragma once
#include <cstdint>

namespace folio {

// Rows of x go through a kernel in blocks of k whose rows are `stride_k` apart: a constant, so that
// one pointer addresses every row, and no power of two, so that they do not share cache sets.
inline constexpr int64_t block_k = 256;
inline constexpr int64_t stride_k = block_k + 16;

}  // namespace folio
