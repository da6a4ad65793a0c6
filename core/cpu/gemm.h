#pragma once
#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/array.h"
#include "core/parallel.h"

namespace folio {

// A row-major matrix in memory, or (`transposed`) the transpose of one.
struct Operand {
  const void* data = nullptr;
  DType dtype = DType::f32;
  int64_t stride = 0;  // elements between two rows in memory
  bool transposed = false;

  // The part that starts at row i, column j of the (transposed) matrix.
  Operand at(int64_t i, int64_t j) const {
    int64_t offset = transposed ? j * stride + i : i * stride + j;
    return {static_cast<const char*>(data) + offset * int64_t(size_of(dtype)), dtype, stride,
            transposed};
  }
};
// All of `x` as a matrix [rows, last dimension].
inline Operand operand(const Array& x, bool transposed = false) {
  return {x.address(), x.dtype(), x.dim(-1), transposed};
}

// c (+)= a b on the calling thread alone: a [m, k], b [k, n], c [m, n] with rows `ldc` apart, in
// f32, or f64 if a and b are. a and b may be f32 or bf16.
void gemm(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, void* c, int64_t ldc,
          bool accumulate = false);

// The dtype in which gemm takes an operand without converting it, for activations in `dtype`: bf16
// only where this CPU multiplies bf16 faster than f32.
DType gemm_dtype(DType dtype);
// x itself, or a copy of it in gemm_dtype(dtype): convert once what many tiles read.
Array gemm_operand(const Array& x, DType dtype);

struct Tiling {
  int64_t rows, cols;  // of one tile
};
// How to cut an [m, n] result: big tiles of even size, at least 8 of them, so that 2, 4 and 8
// threads finish together. More than `few_threads` get at least 64, which take 3 to 10 % longer in
// all and, in oneDNN, sum in another order at times. Depends on nothing else but the shape: results
// are the same bits for any number of threads up to `few_threads`, and for any above.
inline constexpr int few_threads = 16;
Tiling tiling(int64_t m, int64_t n, int threads = parallel_threads());

// Runs f(i, j, rows, cols) for each tile of an [m, n] result, in parallel.
template <class F>
void for_tiles(int64_t m, int64_t n, F&& f) {
  Tiling tile = tiling(m, n);
  int64_t across = (n + tile.cols - 1) / tile.cols, down = (m + tile.rows - 1) / tile.rows;
  parallel_for(across * down, [&](int64_t t) {
    int64_t i = t / across * tile.rows, j = t % across * tile.cols;
    f(i, j, std::min(tile.rows, m - i), std::min(tile.cols, n - j));
  });
}

// c (+)= a b over all threads; c [m, n] is dense.
void parallel_gemm(int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b, Array& c,
                   bool accumulate = false);

}  // namespace folio
