#pragma once
#include "core/cpu/gemm.h"

namespace folio {

// c (+)= a b as `gemm` says, in f32 on the calling thread alone. oneDNN 2.6 multiplies on ARM64
// with what a compiler makes of three nested loops, unless it is built with Arm's Compute Library,
// as Debian's is not. An element of c is the sum of one chain of multiply-adds for each 256 of k,
// whatever m and n are.
void tiled_gemm(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, float* c,
                int64_t ldc, bool accumulate);

}  // namespace folio
