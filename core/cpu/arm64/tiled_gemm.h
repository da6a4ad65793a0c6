#pragma once
#include "core/cpu/gemm.h"

namespace folio {

// c (+)= a b as `gemm` says, on the calling thread alone: in f32, or of two bf16 operands by the
// processor's products of bf16. oneDNN 2.6 multiplies on ARM64 with what a compiler makes of nested
// loops, unless it is built with Arm's Compute Library, as Debian's is not. An element of c is the
// sum of one chain of multiply-adds for each block of k, whatever m and n are.
void tiled_gemm(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, float* c,
                int64_t ldc, bool accumulate);

// Whether this processor multiplies bf16.
bool tiled_gemm_of_bf16();

}  // namespace folio
