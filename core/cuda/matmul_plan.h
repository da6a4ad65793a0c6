#pragma once
#include <cstdint>

#include "core/array.h"

namespace folio::cuda {

// A row-major matrix in memory, or (`transposed`) the transpose of one; a batch of them lies `step`
// elements apart, 0 where it is always the same.
struct Matrix {
  void* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0, cols = 0;  // in memory, one row after the other
  bool transposed = false;
  int64_t step = 0;
  int64_t ld = 0;  // elements from a row to the next; 0: cols
};

// c (+)= a b + bias for each of `batch` pairs, by cuBLASLt: a [M, K], b [K, N] and c [M, N] once
// what is transposed is transposed, which c is not; bias [N], in c's type, may be null. f64, f32,
// or bf16 with f32 sums; c may be f32 under bf16 operands. How a product is computed is decided
// once for each kind (shapes, types, alignment) by cuBLASLt's heuristic, among ways that never add
// to a result in an order of chance: the same bytes run after run on one kind of GPU. Error, naming
// shapes and status, where cuBLASLt cannot.
void matmul(const Matrix& a, const Matrix& b, const Matrix& c, int64_t batch = 1,
            bool accumulate = false, const void* bias = nullptr);

}  // namespace folio::cuda
