#pragma once
#include "core/dtype.h"

namespace folio {

// x [rows, cols], whose Frobenius norm is `length`, through NewtonSchulz's iteration
// (core/backend/optimizer.h), on the calling thread. What is multiplied is kept in `products`, f32
// or, for a CPU whose gemm takes it, bf16; sums are f32.
void newton_schulz(float* x, int64_t rows, int64_t cols, float length, DType products);

// Of its products, where symmetric ones count as if all of them were computed.
double newton_schulz_flops(int64_t rows, int64_t cols, DType products);

}  // namespace folio
