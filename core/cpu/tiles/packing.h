#pragma once
#include <cstdint>

#include "core/cpu/gemm.h"

namespace folio {

// Matrices in f32 or bf16, transposed or not, into the layouts that a matrix unit reads
// (tile_unit.h), rounded to bf16. What is beyond the matrix is zeros: up to whole tiles.

// a [rows, depth], at most 16 rows -> [ceil(depth / 32)][16][32]
void pack_row_tile(const Operand& a, int64_t rows, int64_t depth, bfloat16* to);
// b [depth, columns], at most 32 columns -> [ceil(depth / 32)][16 pairs][32][2]
void pack_panel(const Operand& b, int64_t depth, int64_t columns, bfloat16* to);

// For tests: as if the processor had no vectors to do it with.
void use_vector_packing(bool use);

}  // namespace folio
