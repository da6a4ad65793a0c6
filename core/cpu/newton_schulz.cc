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

#ifndef FOLIO_CORE_CPU_NEWTON_SCHULZ_SHARED
#define FOLIO_CORE_CPU_NEWTON_SCHULZ_SHARED
namespace folio {
// Symmetric matrices [n, n] are computed in panels of so many rows from the diagonal on, then
// mirrored. What is computed of row i begins at this column:
inline constexpr int64_t panel = 64;
inline constexpr int64_t first_column(int64_t i) { return i / panel * panel; }
// The sums of a panel are dense, and those of the next follow: where row i begins among them.
inline constexpr int64_t row_of_sums(int64_t i, int64_t n) {
  const int64_t first = first_column(i), panels = first / panel;
  return first * n - panel * panel * panels * (panels - 1) / 2 + (i - first) * (n - first);
}
}  // namespace folio
#endif

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

// to = sums, in its type, as far as they are computed
template <class T>
void spread(const float* sums, T* to, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t first = first_column(i);
    scaled(sums + row_of_sums(i, n), 1, to + i * n + first, n - first);
  }
}
void spread_f32(const float* sums, float* to, int64_t n) { spread(sums, to, n); }
void spread_bf16(const float* sums, bfloat16* to, int64_t n) { spread(sums, to, n); }

// factors = a I + b gram + c square, of the sums of gram^2
template <class T>
void polynomial(const T* gram, const float* sums, T* factors, int64_t n) {
  constexpr float a = NewtonSchulz::a, b = NewtonSchulz::b, c = NewtonSchulz::c;
  Tag<float> d;
  const Simd<Tag<float>> by_b(b), by_c(c);
  for (int64_t i = 0; i < n; ++i, gram += n, factors += n) {
    const float* square = sums + row_of_sums(i, n) - first_column(i);
    for_vectors(d, first_column(i), n, [&](int64_t j, auto lanes) HWY_ATTR {
      store(load(d, gram + j, lanes) * by_b + load(d, square + j, lanes) * by_c, factors + j,
            lanes);
    });
    factors[i] = T(float(gram[i]) * b + square[i] * c + a);
  }
}
void polynomial_f32(const float* gram, const float* sums, float* factors, int64_t n) {
  polynomial(gram, sums, factors, n);
}
void polynomial_bf16(const bfloat16* gram, const float* sums, bfloat16* factors, int64_t n) {
  polynomial(gram, sums, factors, n);
}

// to [L, L] = from^T, their rows so many elements apart, where L numbers of T fill 16 bytes:
// log2(L) times, the rows of the first half are dealt out between those of the second.
template <class T>
HWY_INLINE void transpose_block(const T* from, int64_t from_stride, T* to, int64_t to_stride) {
  constexpr size_t L = 16 / sizeof(T);
#if HWY_TARGET == HWY_SCALAR
  for (size_t i = 0; i < L; ++i)
    for (size_t j = 0; j < L; ++j)
      to[j * size_t(to_stride) + i] = from[i * size_t(from_stride) + j];
#else
  const hn::FixedTag<T, L> d;
  hn::Vec<decltype(d)> rows[L], dealt[L];
#pragma GCC unroll 8
  for (size_t i = 0; i < L; ++i) rows[i] = hn::LoadU(d, from + int64_t(i) * from_stride);
#pragma GCC unroll 3
  for (size_t half = L / 2; half > 0; half /= 2) {
#pragma GCC unroll 4
    for (size_t i = 0; i < L / 2; ++i) {
      dealt[2 * i] = hn::InterleaveLower(d, rows[i], rows[i + L / 2]);
      dealt[2 * i + 1] = hn::InterleaveUpper(d, rows[i], rows[i + L / 2]);
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < L; ++i) rows[i] = dealt[i];
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < L; ++i) hn::StoreU(rows[i], d, to + int64_t(i) * to_stride);
#endif
}

// What is missing of `to`, from its mirror image.
template <class T>
void mirror(T* to, int64_t n) {
  constexpr int64_t block = 16 / sizeof(T);
  const int64_t whole = n / block * block;
  for (int64_t i = 0; i < n; i += block) {
    int64_t j = first_column(i) + panel;
    for (; j < whole && i < whole; j += block)
      transpose_block(to + i * n + j, n, to + j * n + i, n);
    for (; j < n; ++j)
      for (int64_t r = i; r < std::min(i + block, n); ++r) to[j * n + r] = to[r * n + j];
  }
}
void mirror_f32(float* to, int64_t n) { mirror(to, n); }
void mirror_bf16(bfloat16* to, int64_t n) { mirror(reinterpret_cast<uint16_t*>(to), n); }

// to [cols, rows] = from^T, by whole lines of the cache
template <class T>
void transpose(const T* from, int64_t rows, int64_t cols, T* to) {
  constexpr int64_t block = 16 / sizeof(T), line = 4 * block;
  for (int64_t first = 0; first < rows; first += line) {
    const int64_t last = std::min(first + line, rows),
                  whole = first + (last - first) / block * block;
    int64_t j = 0;
    for (; j + block <= cols; j += block)
      for (int64_t i = first; i < whole; i += block)
        transpose_block(from + i * cols + j, cols, to + j * rows + i, rows);
    for (int64_t c = 0; c < cols; ++c)
      for (int64_t i = c < j ? whole : first; i < last; ++i) to[c * rows + i] = from[i * cols + c];
  }
}
void transpose_f32(const float* from, int64_t rows, int64_t cols, float* to) {
  transpose(from, rows, cols, to);
}
void transpose_bf16(const bfloat16* from, int64_t rows, int64_t cols, bfloat16* to) {
  transpose(reinterpret_cast<const uint16_t*>(from), rows, cols, reinterpret_cast<uint16_t*>(to));
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(scaled_f32);
HWY_EXPORT(scaled_bf16);
HWY_EXPORT(spread_f32);
HWY_EXPORT(spread_bf16);
HWY_EXPORT(polynomial_f32);
HWY_EXPORT(polynomial_bf16);
HWY_EXPORT(mirror_f32);
HWY_EXPORT(mirror_bf16);
HWY_EXPORT(transpose_f32);
HWY_EXPORT(transpose_bf16);

namespace {

void scaled(const float* x, float factor, float* y, int64_t n) {
  HWY_DYNAMIC_DISPATCH(scaled_f32)(x, factor, y, n);
}
void scaled(const float* x, float factor, bfloat16* y, int64_t n) {
  HWY_DYNAMIC_DISPATCH(scaled_bf16)(x, factor, y, n);
}
void spread(const float* sums, float* to, int64_t n) {
  HWY_DYNAMIC_DISPATCH(spread_f32)(sums, to, n);
}
void spread(const float* sums, bfloat16* to, int64_t n) {
  HWY_DYNAMIC_DISPATCH(spread_bf16)(sums, to, n);
}
void polynomial(const float* gram, const float* sums, float* factors, int64_t n) {
  HWY_DYNAMIC_DISPATCH(polynomial_f32)(gram, sums, factors, n);
}
void polynomial(const bfloat16* gram, const float* sums, bfloat16* factors, int64_t n) {
  HWY_DYNAMIC_DISPATCH(polynomial_bf16)(gram, sums, factors, n);
}
void mirror(float* to, int64_t n) { HWY_DYNAMIC_DISPATCH(mirror_f32)(to, n); }
void mirror(bfloat16* to, int64_t n) { HWY_DYNAMIC_DISPATCH(mirror_bf16)(to, n); }
void transpose(const float* from, int64_t rows, int64_t cols, float* to) {
  HWY_DYNAMIC_DISPATCH(transpose_f32)(from, rows, cols, to);
}
void transpose(const bfloat16* from, int64_t rows, int64_t cols, bfloat16* to) {
  HWY_DYNAMIC_DISPATCH(transpose_bf16)(from, rows, cols, to);
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

// The steps of one matrix. T: what the products' operands are kept in.
template <class T>
class Iteration {
 public:
  Iteration(int64_t rows, int64_t cols)
      : rows_(rows),
        cols_(cols),
        n_(std::min(rows, cols)),
        wide_(rows <= cols),
        scratch_((wide_ ? 1 : 2) * Scratch::bytes_for<T>(rows * cols) +
                 Scratch::bytes_for<float>(n_ * n_) + 4 * Scratch::bytes_for<T>(n_ * n_)),
        x_(scratch_.take<T>(rows * cols)),
        tall_as_wide_(wide_ ? nullptr : scratch_.take<T>(rows * cols)),
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
    if (!wide_) transpose(x_, rows_, cols_, tall_as_wide_);
    const T* wide = wide_ ? x_ : tall_as_wide_;
    const int64_t longer = std::max(rows_, cols_);
    symmetric(wide, operand(wide, longer, true), longer, gram_);
    for (int step = 0; step < steps; ++step) {
      make_factors();
      if (step == 0)
        std::swap(factors_, together_);
      else
        multiply(factors_, together_);
      if (step + 1 == steps) break;
      const T* factors = step == 0 ? together_ : factors_;
      multiply(factors, gram_);
      multiply(factors, gram_);
    }
    const Operand together = operand(together_, n_), old = operand(x_, cols_);
    gemm(rows_, cols_, n_, wide_ ? together : old, wide_ ? old : together, x, cols_);
  }

 private:
  // factors = a I + b gram + c gram^2
  void make_factors() {
    sum(gram_, turned(gram_), n_);
    polynomial(gram_, sums_, factors_, n_);
    mirror(factors_, n_);
  }

  // matrix = factors matrix, which commute
  void multiply(const T* factors, T*& matrix) {
    symmetric(factors, turned(matrix), n_, spare_);
    std::swap(matrix, spare_);
  }

  // A symmetric matrix to the right of a product: as its transpose, the columns that a panel needs
  // lie together, which oneDNN likes in bf16 (64 x 64 of 128: 456 GFLOP/s, else 330), not in f32.
  Operand turned(const T* matrix) const { return operand(matrix, n_, !is_f32<T>); }

  // to [n, n] = x y, which is symmetric, of x [n, k]
  void symmetric(const T* x, const Operand& y, int64_t k, T* to) {
    sum(x, y, k);
    spread(sums_, to, n_);
    mirror(to, n_);
  }
  // The panels of x y.
  void sum(const T* x, const Operand& y, int64_t k) {
    for (int64_t i = 0; i < n_; i += panel)
      gemm(std::min(panel, n_ - i), n_ - i, k, operand(x + i * k, k), y.at(0, i),
           sums_ + row_of_sums(i, n_), n_ - i);
  }

  const int64_t rows_, cols_, n_;  // n_: the smaller side
  const bool wide_;
  Scratch scratch_;
  T *x_, *tall_as_wide_;                     // [rows, cols], and its transpose where that is wide
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
