#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/muon.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/cpu/muon.h"

#include "core/cpu/gemm.h"
#include "core/cpu/onednn.h"
#include "core/cpu/scratch.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/costs.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// momentum = mu momentum + scale grad, u = scale grad + mu momentum -> the sum of u's squares
double nesterov(const float* grad, float scale, float mu, float* momentum, float* u, int64_t n) {
  Tag<float> d;
  const Simd<Tag<float>> factor(scale), keep(mu);
  double total = 0;
  for (int64_t first = 0; first < n; first += 1 << 10) {
    Simd<Tag<float>> squares(0.0);
    for_vectors(d, first, std::min<int64_t>(n, first + (1 << 10)),
                [&](int64_t i, auto lanes) HWY_ATTR {
                  const auto g = load(d, grad + i, lanes) * factor;
                  const auto mean = keep * load(d, momentum + i, lanes) + g;
                  const auto value = g + keep * mean;
                  store(mean, momentum + i, lanes);
                  store(value, u + i, lanes);
                  squares = squares + stored_lanes(value * value, lanes);
                });
    total += double(sum(squares));
  }
  return total;
}

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
void polynomial_row(const float* x, float b, float c, float* square, int64_t n) {
  Tag<float> d;
  const Simd<Tag<float>> first(b), second(c);
  for_vectors(d, 0, n, [&](int64_t i, auto lanes) HWY_ATTR {
    store(load(d, x + i, lanes) * first + load(d, square + i, lanes) * second, square + i, lanes);
  });
}

// param = decay param - rate u, and in bf16 too where `rounded` is given
void apply(const float* u, float decay, float rate, float* param, bfloat16* rounded, int64_t n) {
  Tag<float> d;
  const Simd<Tag<float>> keep(decay), by(rate);
  for_vectors(d, 0, n, [&](int64_t i, auto lanes) HWY_ATTR {
    const auto value = load(d, param + i, lanes) * keep - by * load(d, u + i, lanes);
    store(value, param + i, lanes);
    if (rounded) store(value, rounded + i, lanes);
  });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(nesterov);
HWY_EXPORT(scaled_f32);
HWY_EXPORT(scaled_bf16);
HWY_EXPORT(polynomial_row);
HWY_EXPORT(apply);

namespace {

// One matrix [rows, cols] of a slot.
struct Matrix {
  const MuonSlot* slot;
  int64_t first_row, rows, cols;
  int64_t size() const { return rows * cols; }
  int64_t smaller() const { return std::min(rows, cols); }
};

// x (Frobenius length 1) through the iteration, on the calling thread. The products are of the
// smaller side, n: A = x x^T, x = P x where the rows are fewer, else A = x^T x, x = x P.
class Iteration {
 public:
  Iteration(int64_t rows, int64_t cols, DType dtype)
      : rows_(rows),
        cols_(cols),
        n_(std::min(rows, cols)),
        wide_(rows <= cols),
        narrow_(dtype == DType::bf16),
        scratch_(
            2 * Scratch::bytes_for<float>(n_ * n_) + 2 * Scratch::bytes_for<float>(rows * cols) +
            (narrow_
                 ? Scratch::bytes_for<bfloat16>(n_ * n_) + Scratch::bytes_for<bfloat16>(rows * cols)
                 : 0)),
        gram_(scratch_.take<float>(n_ * n_)),
        square_(scratch_.take<float>(n_ * n_)),
        x_(scratch_.take<float>(rows * cols)),
        next_(scratch_.take<float>(rows * cols)),
        narrow_square_(narrow_ ? scratch_.take<bfloat16>(n_ * n_) : nullptr),
        narrow_x_(narrow_ ? scratch_.take<bfloat16>(rows * cols) : nullptr) {}

  // Where the matrix is to be put, and, after `run`, is.
  float* x() { return x_; }

  void run(float length) {
    const float factor = 1 / (length + NewtonSchulz::eps);
    if (!narrow_) HWY_DYNAMIC_DISPATCH(scaled_f32)(x_, factor, x_, rows_ * cols_);
    for (int step = 0; step < NewtonSchulz::steps; ++step) {
      if (narrow_)
        HWY_DYNAMIC_DISPATCH(scaled_bf16)(x_, step == 0 ? factor : 1, narrow_x_, rows_ * cols_);
      const Operand x = operand(x_, narrow_x_, cols_);
      Operand transposed = x;
      transposed.transposed = true;
      symmetric(wide_ ? x : transposed, wide_ ? transposed : x, wide_ ? cols_ : rows_, gram_);
      const Operand gram = operand(gram_, narrow_square_, n_, true);
      symmetric(gram, gram, n_, square_);
      polynomial();
      const Operand factors = operand(square_, narrow_square_, n_, true);
      gemm(rows_, cols_, n_, wide_ ? factors : x, wide_ ? x : factors, next_, cols_);
      std::swap(x_, next_);
    }
  }

 private:
  // The matrix in the type of the products; `round` says to make it.
  Operand operand(float* wide, bfloat16* narrow, int64_t stride, bool round = false) {
    if (!narrow_) return {wide, DType::f32, stride, false};
    if (round) HWY_DYNAMIC_DISPATCH(scaled_bf16)(wide, 1, narrow, n_ * n_);
    return {narrow, DType::bf16, stride, false};
  }

  // to [n, n] = a b, which is symmetric: in panels of rows from the diagonal on, then mirrored.
  void symmetric(const Operand& a, const Operand& b, int64_t k, float* to) {
    for (int64_t i = 0; i < n_; i += panel)
      gemm(std::min(panel, n_ - i), n_ - i, k, a.at(i, 0), b.at(0, i), to + i * n_ + i, n_);
    mirror(to);
  }

  void mirror(float* to) {
    constexpr int64_t block = 8;
    for (int64_t i = 0; i < n_; i += block)
      for (int64_t j = i / panel * panel + panel; j < n_; j += block)
        for (int64_t c = j; c < std::min(j + block, n_); ++c)
          for (int64_t r = i; r < std::min(i + block, n_); ++r) to[c * n_ + r] = to[r * n_ + c];
  }

  // square = a I + b gram + c square
  void polynomial() {
    HWY_DYNAMIC_DISPATCH(polynomial_row)
    (gram_, NewtonSchulz::b, NewtonSchulz::c, square_, n_ * n_);
    for (int64_t i = 0; i < n_; ++i) square_[i * n_ + i] += NewtonSchulz::a;
  }

  static constexpr int64_t panel = 64;

  const int64_t rows_, cols_, n_;
  const bool wide_, narrow_;
  Scratch scratch_;
  float *gram_, *square_, *x_, *next_;
  bfloat16 *narrow_square_, *narrow_x_;
};

void update(const Matrix& m, const MuonStep& step, DType products) {
  const MuonSlot& slot = *m.slot;
  const int64_t at = m.first_row * m.cols;
  Iteration iteration(m.rows, m.cols, products);
  const float scale = step.grad_scale.defined() ? *step.grad_scale.data<float>() : 1.0f;
  const double squares =
      HWY_DYNAMIC_DISPATCH(nesterov)(slot.grad.data<float>() + at, scale, float(step.momentum),
                                     slot.momentum.data<float>() + at, iteration.x(), m.size());
  iteration.run(float(std::sqrt(squares)));
  const double shape = std::sqrt(std::max(1.0, double(m.rows) / double(m.cols)));
  HWY_DYNAMIC_DISPATCH(apply)
  (iteration.x(), float(1 - step.learning_rate * slot.weight_decay),
   float(step.learning_rate * shape), slot.param.data<float>() + at,
   slot.rounded.defined() ? slot.rounded.data<bfloat16>() + at : nullptr, m.size());
}

}  // namespace

void cpu_muon(std::span<const MuonSlot> slots, const MuonStep& step) {
  std::vector<Matrix> matrices;
  for (const MuonSlot& slot : slots) {
    for (const Array* written : {&slot.param, &slot.momentum, &slot.rounded})
      if (written->defined()) written->begin_write("muon");
    int64_t first = 0;
    for (int64_t rows : slot.rows) {
      matrices.push_back({&slot, first, rows, slot.param.dim(1)});
      first += rows;
    }
  }
  // The largest first, so that no thread begins one when the others are done.
  std::ranges::stable_sort(matrices, std::greater(), &Matrix::size);
  const DType products = gemm_dtype(step.products);
  for (const Matrix& m : matrices) {
    const double n = double(m.smaller());
    count_flops(NewtonSchulz::steps * (4 * n * double(m.size()) + 2 * n * n * n));
  }
  parallel_for(int64_t(matrices.size()),
               [&](int64_t i) { update(matrices[size_t(i)], step, products); });
}

}  // namespace folio
#endif
