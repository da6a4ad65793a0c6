#include "core/cuda/muon.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "core/cuda/kernels/optimizer.h"
#include "core/cuda/matmul_plan.h"
#include "core/cuda/stream.h"

namespace folio::cuda {
namespace {

// The matrices [rows, cols] of one shape, a batch of `count`, in the type T of the products. Each
// product is one call of cuBLASLt, which has none that computes half of a symmetric one.
template <class T>
class Batch {
 public:
  Batch(int64_t rows, int64_t cols, int64_t count, Device device)
      : rows_(rows),
        cols_(cols),
        n_(std::min(rows, cols)),
        count_(count),
        u_({count, rows, cols}, DType::f32, device),
        x_(std::is_same_v<T, float> ? u_ : Array(u_.shape(), dtype_of<T>, device)),
        next_(u_.shape(), dtype_of<T>, device),
        gram_({count, n_, n_}, dtype_of<T>, device),
        square_(gram_.shape(), dtype_of<T>, device),
        sums_({count, muon_sums(rows * cols)}, DType::f64, device) {}

  float* u(int64_t i) const { return u_.data<float>() + i * rows_ * cols_; }

  void update(std::span<const MuonMatrix> matrices, const MuonFactors& factors) {
    muon_momentum(matrices, factors, sums_.data<double>(), stream());
    muon_normalize(u_.data<float>(), sums_.data<double>(), rows_ * cols_, count_, NewtonSchulz::eps,
                   x_.data<T>(), stream());
    for (int step = 0; step < NewtonSchulz::steps; ++step) iterate();
    const double shape = std::sqrt(std::max(1.0, double(rows_) / double(cols_)));
    muon_apply(matrices, factors, shape, x_.data<T>(), stream());
  }

 private:
  // A = x x^T, x = P x where the rows are fewer, else A = x^T x, x = x P.
  void iterate() {
    const bool wide = rows_ <= cols_;
    product(matrix(x_, !wide), matrix(x_, wide), gram_);
    product(matrix(gram_), matrix(gram_), square_);
    muon_polynomial(gram_.data<T>(), NewtonSchulz::a, NewtonSchulz::b, NewtonSchulz::c, n_, count_,
                    square_.data<T>(), stream());
    product(matrix(wide ? square_ : x_), matrix(wide ? x_ : square_), next_);
    std::swap(x_, next_);
  }

  static Matrix matrix(const Array& x, bool transposed = false) {
    return {x.address(), x.dtype(), x.dim(1), x.dim(2), transposed, x.dim(1) * x.dim(2)};
  }
  void product(const Matrix& a, const Matrix& b, const Array& to) const {
    matmul(a, b, matrix(to), count_);
  }

  const int64_t rows_, cols_, n_, count_;
  Array u_, x_, next_, gram_, square_, sums_;
};

template <class T>
void update(int64_t rows, int64_t cols, std::vector<MuonMatrix>& matrices,
            const MuonFactors& factors, Device device) {
  Batch<T> batch(rows, cols, int64_t(matrices.size()), device);
  for (size_t i = 0; i < matrices.size(); ++i) matrices[i].u = batch.u(int64_t(i));
  batch.update(matrices, factors);
}

}  // namespace

void muon(std::span<const MuonSlot> slots, const MuonStep& step, const int32_t* skip) {
  std::map<std::pair<int64_t, int64_t>, std::vector<MuonMatrix>> by_shape;
  for (const MuonSlot& slot : slots) {
    for (const Array* written : {&slot.param, &slot.momentum, &slot.rounded})
      if (written->defined()) written->begin_write("muon");
    const int64_t cols = slot.param.dim(1);
    int64_t at = 0;
    for (int64_t rows : slot.rows) {
      by_shape[{rows, cols}].push_back(
          {.param = slot.param.data<float>() + at,
           .grad = slot.grad.data<float>() + at,
           .momentum = slot.momentum.data<float>() + at,
           .u = nullptr,
           .n = rows * cols,
           .weight_decay = slot.weight_decay,
           .rounded = slot.rounded.defined() ? slot.rounded.data<bfloat16>() + at : nullptr});
      at += rows * cols;
    }
  }
  const MuonFactors factors{
      .learning_rate = step.learning_rate,
      .momentum = step.momentum,
      .grad_scale = step.grad_scale.defined() ? step.grad_scale.data<float>() : nullptr,
      .skip = skip};
  const Device device = RunningOn::device().value();
  for (auto& [shape, matrices] : by_shape) {
    if (step.products == DType::bf16)
      update<bfloat16>(shape.first, shape.second, matrices, factors, device);
    else
      update<float>(shape.first, shape.second, matrices, factors, device);
  }
}

}  // namespace folio::cuda
