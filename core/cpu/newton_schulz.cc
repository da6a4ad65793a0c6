#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/newton_schulz.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <span>
#include <type_traits>
#include <utility>

#include "core/cpu/newton_schulz.h"

#include "core/backend/optimizer.h"
#include "core/cpu/gemm.h"
#include "core/cpu/scratch.h"
#include "core/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// y = factor x, in y's type
template <class T>
void scaled(const float* x, float factor, T* y, int64_t n) {
  Tag<float> d;
  const Simd<Tag<float>> by(factor);
  for_vectors(d, 0, n, [&](int64_t i, auto lanes) HWY_ATTR {
    store(load(d, x + i, lanes) * by, y + i, lanes);
  });
}
void scaled_f32(const float* x, float factor, float* y, int64_t n) { scaled(x, factor, y, n); }
void scaled_bf16(const float* x, float factor, bfloat16* y, int64_t n) { scaled(x, factor, y, n); }

// square = b x + c square
template <class T>
void polynomial(const T* x, float b, float c, float* square, int64_t n) {
  Tag<float> d;
  const Simd<Tag<float>> first(b), second(c);
  for_vectors(d, 0, n, [&](int64_t i, auto lanes) HWY_ATTR {
    store(load(d, x + i, lanes) * first + load(d, square + i, lanes) * second, square + i, lanes);
  });
}
void polynomial_f32(const float* x, float b, float c, float* square, int64_t n) {
  polynomial(x, b, c, square, n);
}
void polynomial_bf16(const bfloat16* x, float b, float c, float* square, int64_t n) {
  polynomial(x, b, c, square, n);
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(scaled_f32);
HWY_EXPORT(scaled_bf16);
HWY_EXPORT(polynomial_f32);
HWY_EXPORT(polynomial_bf16);

namespace {

constexpr int64_t panel = 64;  // rows of a symmetric product that are computed together

void scaled(const float* x, float factor, float* y, int64_t n) {
  HWY_DYNAMIC_DISPATCH(scaled_f32)(x, factor, y, n);
}
void scaled(const float* x, float factor, bfloat16* y, int64_t n) {
  HWY_DYNAMIC_DISPATCH(scaled_bf16)(x, factor, y, n);
}
void polynomial(const float* x, float* square, int64_t n) {
  HWY_DYNAMIC_DISPATCH(polynomial_f32)(x, NewtonSchulz::b, NewtonSchulz::c, square, n);
}
void polynomial(const bfloat16* x, float* square, int64_t n) {
  HWY_DYNAMIC_DISPATCH(polynomial_bf16)(x, NewtonSchulz::b, NewtonSchulz::c, square, n);
}

template <class T>
constexpr bool is_f32 = std::is_same_v<T, float>;

// The five steps as they are taken: so many from one Gram matrix, then from the next. With [n, r n]
// a Gram matrix and what follows from it cost 2 r products of n^2 by n, each step 1, and each but
// the last of its Gram matrix 3: 4 r + 14 in f32, 6 r + 11 in bf16, 10 r + 5 one step at a time.
std::span<const int> steps_at_once(int64_t rows, int64_t cols, DType products) {
  static constexpr int singly[] = {1, 1, 1, 1, 1}, f32[] = {2, 3}, narrow[] = {2, 1, 2};
  if (std::max(rows, cols) < 2 * std::min(rows, cols)) return singly;
  return products == DType::bf16 ? std::span<const int>(narrow) : f32;
}

template <class T>
Operand operand(const T* data, int64_t stride, bool transposed = false) {
  return {data, is_f32<T> ? DType::f32 : DType::bf16, stride, transposed};
}

// to [n, n] = to^T, where the panels of rows are there from the diagonal on
void mirror(float* to, int64_t n) {
  constexpr int64_t block = 8;
  for (int64_t i = 0; i < n; i += block)
    for (int64_t j = i / panel * panel + panel; j < n; j += block)
      for (int64_t c = j; c < std::min(j + block, n); ++c)
        for (int64_t r = i; r < std::min(i + block, n); ++r) to[c * n + r] = to[r * n + c];
}

// The steps of one matrix. T: what the products' operands are kept in.
template <class T>
class Iteration {
 public:
  Iteration(int64_t rows, int64_t cols)
      : rows_(rows),
        cols_(cols),
        n_(std::min(rows, cols)),
        wide_(rows <= cols),
        scratch_(Scratch::bytes_for<T>(rows * cols) + Scratch::bytes_for<float>(n_ * n_) +
                 4 * Scratch::bytes_for<T>(n_ * n_)),
        x_(scratch_.take<T>(rows * cols)),
        sums_(scratch_.take<float>(n_ * n_)),
        gram_(scratch_.take<T>(n_ * n_)),
        factors_(scratch_.take<T>(n_ * n_)),
        together_(scratch_.take<T>(n_ * n_)),
        spare_(scratch_.take<T>(n_ * n_)) {}

  // x <- factor x, and `steps` steps from there, with one Gram matrix A (Zhang et al., "Gram
  // Newton-Schulz", 2026): a step multiplies x by P = a I + b A + c A^2, and A by P twice, since P
  // and A commute; so x waits for the product of all P. Rounding errors of A grow as small singular
  // values do, by up to a^2 a step, which is why not all five are taken at once.
  void advance(float* x, float factor, int steps) {
    scaled(x, factor, x_, rows_ * cols_);
    symmetric(operand(x_, cols_, !wide_), operand(x_, cols_, wide_), std::max(rows_, cols_), gram_);
    for (int step = 0; step < steps; ++step) {
      make_factors();
      if (step > 0)
        multiply(together_);
      else
        std::copy_n(factors_, n_ * n_, together_);
      if (step + 1 == steps) break;
      multiply(gram_);
      multiply(gram_);
    }
    const Operand together = operand(together_, n_), old = operand(x_, cols_);
    gemm(rows_, cols_, n_, wide_ ? together : old, wide_ ? old : together, x, cols_);
  }

 private:
  // factors = a I + b gram + c gram^2
  void make_factors() {
    const Operand gram = operand(gram_, n_);
    sum(gram, gram, n_, sums_);
    polynomial(gram_, sums_, n_ * n_);
    for (int64_t i = 0; i < n_; ++i) sums_[i * n_ + i] += NewtonSchulz::a;
    keep(sums_, factors_);
  }

  // matrix = factors matrix, which commute
  void multiply(T*& matrix) {
    symmetric(operand(factors_, n_), operand(matrix, n_), n_, spare_);
    std::swap(matrix, spare_);
  }

  // to [n, n] = a b, which is symmetric
  void symmetric(const Operand& a, const Operand& b, int64_t k, T*& to) {
    sum(a, b, k, sums_);
    keep(sums_, to);
  }
  // In panels of rows from the diagonal on, then mirrored.
  void sum(const Operand& a, const Operand& b, int64_t k, float* to) {
    for (int64_t i = 0; i < n_; i += panel)
      gemm(std::min(panel, n_ - i), n_ - i, k, a.at(i, 0), b.at(0, i), to + i * n_ + i, n_);
    mirror(to, n_);
  }
  // `sums` as T; what was in `to` is gone, and what was in sums.
  void keep(float*& sums, T*& to) {
    if constexpr (is_f32<T>)
      std::swap(sums, to);
    else
      scaled(sums, 1, to, n_ * n_);
  }

  const int64_t rows_, cols_, n_;  // n_: the smaller side
  const bool wide_;
  Scratch scratch_;
  T* x_;                                     // [rows, cols]
  float* sums_;                              // [n, n]
  T *gram_, *factors_, *together_, *spare_;  // [n, n], all symmetric
};

template <class T>
void iterate(float* x, int64_t rows, int64_t cols, float factor, DType products) {
  Iteration<T> iteration(rows, cols);
  for (int steps : steps_at_once(rows, cols, products)) {
    iteration.advance(x, factor, steps);
    factor = 1;
  }
}

}  // namespace

void newton_schulz(float* x, int64_t rows, int64_t cols, float length, DType products) {
  const float factor = 1 / (length + NewtonSchulz::eps);
  (products == DType::bf16 ? iterate<bfloat16> : iterate<float>)(x, rows, cols, factor, products);
}

double newton_schulz_flops(int64_t rows, int64_t cols, DType products) {
  const double n = double(std::min(rows, cols)), r = double(std::max(rows, cols)) / n;
  double count = 0;
  for (int steps : steps_at_once(rows, cols, products)) count += 2 * r + steps + 3 * (steps - 1);
  return count * 2 * n * n * n;
}

}  // namespace folio
#endif
