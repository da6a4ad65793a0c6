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
#include "core/cpu/newton_schulz.h"
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
HWY_EXPORT(apply);

namespace {

// One matrix [rows, cols] of a slot.
struct Matrix {
  const MuonSlot* slot;
  int64_t first_row, rows, cols;
  int64_t size() const { return rows * cols; }
};

void update(const Matrix& m, const MuonStep& step, DType products) {
  const MuonSlot& slot = *m.slot;
  const int64_t at = m.first_row * m.cols;
  Scratch scratch(Scratch::bytes_for<float>(m.size()));
  float* u = scratch.take<float>(m.size());
  const float scale = step.grad_scale.defined() ? *step.grad_scale.data<float>() : 1.0f;
  const double squares =
      HWY_DYNAMIC_DISPATCH(nesterov)(slot.grad.data<float>() + at, scale, float(step.momentum),
                                     slot.momentum.data<float>() + at, u, m.size());
  newton_schulz(u, m.rows, m.cols, float(std::sqrt(squares)), products);
  const double shape = std::sqrt(std::max(1.0, double(m.rows) / double(m.cols)));
  HWY_DYNAMIC_DISPATCH(apply)
  (u, float(1 - step.learning_rate * slot.weight_decay), float(step.learning_rate * shape),
   slot.param.data<float>() + at,
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
  for (const Matrix& m : matrices) count_flops(newton_schulz_flops(m.rows, m.cols, products));
  parallel_for(int64_t(matrices.size()),
               [&](int64_t i) { update(matrices[size_t(i)], step, products); });
}

}  // namespace folio
#endif
