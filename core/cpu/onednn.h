#pragma once
#include "core/cpu/gemm.h"

namespace folio {

// What a matrix multiplication depends on besides its addresses.
struct MatmulKey {
  int64_t m, n, k, lda, ldb, ldc;
  DType a, b;  // f32 or bf16; the result is f32
  bool a_transposed, b_transposed, accumulate;
  friend bool operator==(const MatmulKey&, const MatmulKey&) = default;
};

// c (+)= a b by a oneDNN primitive that runs on the calling thread alone, whatever the number of
// threads is. Primitives are kept per thread, so that finding one takes no lock and no allocation.
void onednn_matmul(const MatmulKey& key, const void* a, const void* b, float* c);

// Whether oneDNN multiplies bf16 faster than f32 on this CPU: with AMX, and with AMD's AVX-512 bf16
// dot products; Intel's have half the rate of its f32 units.
bool onednn_prefers_bf16();

// Whether oneDNN multiplies bf16 in matrix units (AMX) on this CPU.
bool onednn_has_matrix_units();

}  // namespace folio
