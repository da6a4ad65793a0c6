#pragma once
#include <cublasLt.h>

// What the stand-in for cuBLASLt keeps behind the library's opaque types.
struct cublasLtContext {};
struct cublasLtMatmulDescOpaque_t {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cublasOperation_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;  // of d's type, a number a row of d
};
struct cublasLtMatrixLayoutOpaque_t {  // column-major
  cudaDataType_t type;
  int64_t rows, cols, ld;
  int32_t batch = 1;
  int64_t stride = 0;
};
struct cublasLtMatmulPreferenceOpaque_t {
  uint64_t workspace = 0;
  uint32_t reductions = 7;
  uint32_t alignments[4] = {256, 256, 256, 256};  // of a, b, c, d
};

namespace folio::emulator {

// One product as it is queued: everything that is read once the stream gets there.
struct Product {
  cublasLtMatmulDescOpaque_t description;
  cublasLtMatrixLayoutOpaque_t a, b, d;
  const void *A, *B;
  void* D;
  double alpha, beta;

  void run() const;
};

}  // namespace folio::emulator
