#include "core/cpu/cpu_backend.h"
#include "core/cpu/epilogue.h"
#include "core/cpu/gemm.h"
#include "core/cpu/scratch.h"
#include "core/cpu/visit_dtype.h"

namespace folio {
namespace {

// The matrices of a batch, one after the other, or one matrix for the whole batch.
struct Batch {
  Operand first;
  int64_t rows, cols;  // of a matrix, once it is transposed if it is to be
  int64_t step = 0;    // elements from one to the next, 0 where it is always the same

  Batch(const Array& x, bool transposed)
      : first{x.address(), x.dtype(), x.dim(-1), transposed},
        rows(x.dim(transposed ? -1 : -2)),
        cols(x.dim(transposed ? -2 : -1)) {
    if (x.shape().rank() > 2) step = rows * cols;
  }
  Operand at(int64_t i) const {
    Operand one = first;
    one.data = static_cast<const char*>(first.data) + i * step * int64_t(size_of(first.dtype));
    return one;
  }
};

// The tile at c of the product, narrowed from its f32 sums if T is bf16.
template <class T>
void multiply_tile(int64_t rows, int64_t cols, int64_t k, const Operand& a, const Operand& b, T* c,
                   int64_t ldc) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    Scratch scratch(Scratch::bytes_for<float>(rows * cols));
    auto* sums = scratch.take<float>(rows * cols);
    gemm(rows, cols, k, a, b, sums, cols);
    for (int64_t r = 0; r < rows; ++r)
      bias_act<float, T>(sums + r * cols, nullptr, cols, Unary::none, nullptr, c + r * ldc);
  } else {
    gemm(rows, cols, k, a, b, c, ldc);
  }
}

// A single product is cut as `linear` cuts its own, for all threads; those of a batch are whole,
// but for very large ones.
Tiling tile_of(int64_t batch, int64_t m, int64_t n) {
  if (batch < 8) return tiling(m, n);
  return {std::min<int64_t>(m, 512), std::min<int64_t>(n, 1536)};
}

}  // namespace

Array CpuBackend::matmul(const Array& a, const Array& b, bool transpose_a, bool transpose_b) {
  Shape shape = a.shape().rank() >= b.shape().rank() ? a.shape() : b.shape();
  shape[-2] = a.dim(transpose_a ? -1 : -2);
  shape[-1] = b.dim(transpose_b ? -2 : -1);
  Array y(shape, a.dtype(), a.device());
  if (y.size() == 0) return y;
  const bool one_matrix =
      b.shape().rank() == 2 && !transpose_a;  // the rows of all a are one matrix
  const Batch left(one_matrix ? a.reshape({a.rows(), a.dim(-1)}) : a, transpose_a);
  const Batch right(b, transpose_b);
  const int64_t m = left.rows, n = right.cols, k = left.cols;
  const int64_t batch = y.size() / (m * n);
  const Tiling tile = tile_of(batch, m, n);
  const int64_t across = (n + tile.cols - 1) / tile.cols, down = (m + tile.rows - 1) / tile.rows;
  visit_dtype(a.dtype(), "matmul", [&]<class T>(T) {
    T* out = y.data<T>();
    parallel_for(batch * across * down, [&](int64_t task) {
      int64_t one = task / (across * down), i = task / across % down * tile.rows,
              j = task % across * tile.cols;
      multiply_tile(std::min(tile.rows, m - i), std::min(tile.cols, n - j), k,
                    left.at(one).at(i, 0), right.at(one).at(0, j), out + (one * m + i) * n + j, n);
    });
  });
  return y;
}

}  // namespace folio
