#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/optimizer.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/muon.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

#ifndef FOLIO_CORE_CPU_OPTIMIZER_ONCE
#define FOLIO_CORE_CPU_OPTIMIZER_ONCE
namespace folio {

// A piece of one of many arrays, so that one parallel loop goes over all of them.
struct Piece {
  size_t array;
  int64_t begin, end;
};

struct AdamWFactors {
  double decay, learning_rate, beta1, beta2, eps, root_correction2, grad_scale;
};

}  // namespace folio
#endif

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// Short runs in the lanes of T, the runs in f64.
template <class T>
double sum_of_squares(const T* x, int64_t begin, int64_t end) {
  Tag<T> d;
  double total = 0;
  for (int64_t first = begin; first < end; first += 1 << 10) {
    Simd<Tag<T>> squares(0.0);
    for_vectors(d, first, std::min<int64_t>(end, first + (1 << 10)),
                [&](int64_t i, auto n) HWY_ATTR {
                  auto value = load(d, x + i, n);
                  squares = squares + value * value;
                });
    total += double(sum(squares));
  }
  return total;
}

double piece_squares(const Array& x, int64_t begin, int64_t end) {
  return visit_dtype(x.dtype(), "norm",
                     [&](auto t) { return sum_of_squares(x.data<decltype(t)>(), begin, end); });
}

template <class T>
void adamw_range(T* p, const T* grad, T* m, T* v, bfloat16* rounded, int64_t begin, int64_t end,
                 const AdamWFactors& factors) {
  Tag<T> d;
  using F = Simd<Tag<T>>;
  const F decay(factors.decay), rate(factors.learning_rate), eps(factors.eps);
  const F scale(factors.grad_scale), beta2(factors.beta2), root(factors.root_correction2);
  const F rest1(1 - factors.beta1), rest2(1 - factors.beta2);
  for_vectors(d, begin, end, [&](int64_t i, auto n) HWY_ATTR {
    const F g = load(d, grad + i, n) * scale, old = load(d, m + i, n);
    const F mean = old + (g - old) * rest1;
    const F square = load(d, v + i, n) * beta2 + g * g * rest2;
    const F step = mean / (F(hn::Sqrt(square.v)) / root + eps);
    store(mean, m + i, n);
    store(square, v + i, n);
    const F param = load(d, p + i, n) * decay - rate * step;
    store(param, p + i, n);
    if constexpr (std::is_same_v<T, float>) {
      if (rounded) store(param, rounded + i, n);
    }
  });
}

void adamw_piece(const AdamWSlot& slot, int64_t begin, int64_t end, const AdamWFactors& factors) {
  if (slot.param.dtype() == DType::f64) {
    adamw_range(slot.param.data<double>(), slot.grad.data<double>(), slot.m.data<double>(),
                slot.v.data<double>(), nullptr, begin, end, factors);
  } else {
    adamw_range(slot.param.data<float>(), slot.grad.data<float>(), slot.m.data<float>(),
                slot.v.data<float>(),
                slot.rounded.defined() ? slot.rounded.data<bfloat16>() : nullptr, begin, end,
                factors);
  }
}

void average_piece(const AverageSlot& slot, int64_t begin, int64_t end, double decay) {
  Tag<float> d;
  const Simd<Tag<float>> rest(1 - decay);
  float* to = slot.average.data<float>();
  const float* from = slot.param.data<float>();
  for_vectors(d, begin, end, [&](int64_t i, auto n) HWY_ATTR {
    const auto old = load(d, to + i, n);
    store(old + (load(d, from + i, n) - old) * rest, to + i, n);
  });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(piece_squares);
HWY_EXPORT(adamw_piece);
HWY_EXPORT(average_piece);

namespace {

template <class SizeOf>
std::vector<Piece> pieces_of(size_t arrays, SizeOf size_of) {
  constexpr int64_t block = 1 << 14;
  std::vector<Piece> pieces;
  for (size_t a = 0; a < arrays; ++a)
    for (int64_t begin = 0; begin < size_of(a); begin += block)
      pieces.push_back({a, begin, std::min<int64_t>(size_of(a), begin + block)});
  return pieces;
}

bool is_finite(const Array& x) {
  return std::ranges::all_of(std::span(x.data<float>(), size_t(x.size())),
                             [](float value) { return std::isfinite(value); });
}

class CpuOptimizerOps final : public OptimizerOps {
 public:
  Array norm(std::span<const Array> arrays) override {
    auto pieces = pieces_of(arrays.size(), [&](size_t a) { return arrays[a].size(); });
    std::vector<double> squares(pieces.size());
    const auto kernel = HWY_DYNAMIC_DISPATCH(piece_squares);
    parallel_for(int64_t(pieces.size()), [&](int64_t i) {
      const Piece& piece = pieces[size_t(i)];
      squares[size_t(i)] = kernel(arrays[piece.array], piece.begin, piece.end);
    });
    double total = 0;
    for (double square : squares) total += square;
    Array result({}, DType::f32, RunningOn::device().value());
    *result.data<float>() = float(std::sqrt(total));
    return result;
  }

  Array clip_scale(const Array& norm, double limit) override {
    const double ratio = limit / (*norm.data<float>() + 1e-6);
    Array scale({}, DType::f32, norm.device());
    *scale.data<float>() = ratio >= 1 ? 1.0f : float(ratio);  // NaN stays NaN
    return scale;
  }

  void adamw(std::span<const AdamWSlot> slots, const AdamWStep& step) override {
    if (!std::ranges::all_of(step.only_if_finite, is_finite)) return;
    for (const AdamWSlot& slot : slots)
      for (const Array* written : {&slot.param, &slot.m, &slot.v, &slot.rounded})
        if (written->defined()) written->begin_write("adamw");
    const double correction1 = 1 - std::pow(step.beta1, double(step.step));
    const double correction2 = 1 - std::pow(step.beta2, double(step.step));
    const AdamWFactors factors{
        .decay = 1,
        .learning_rate = step.learning_rate / correction1,
        .beta1 = step.beta1,
        .beta2 = step.beta2,
        .eps = step.eps,
        .root_correction2 = std::sqrt(correction2),
        .grad_scale = step.grad_scale.defined() ? *step.grad_scale.data<float>() : 1.0};
    auto pieces = pieces_of(slots.size(), [&](size_t a) { return slots[a].param.size(); });
    const auto kernel = HWY_DYNAMIC_DISPATCH(adamw_piece);
    parallel_for(int64_t(pieces.size()), [&](int64_t i) {
      const Piece& piece = pieces[size_t(i)];
      const AdamWSlot& slot = slots[piece.array];
      AdamWFactors own = factors;
      own.decay = 1 - step.learning_rate * slot.weight_decay;
      kernel(slot, piece.begin, piece.end, own);
    });
  }

  void muon(std::span<const MuonSlot> slots, const MuonStep& step) override {
    if (std::ranges::all_of(step.only_if_finite, is_finite)) cpu_muon(slots, step);
  }

  void average(std::span<const AverageSlot> slots, double decay,
               const std::vector<Array>& only_if_finite) override {
    if (!std::ranges::all_of(only_if_finite, is_finite)) return;
    for (const AverageSlot& slot : slots) slot.average.begin_write("average");
    auto pieces = pieces_of(slots.size(), [&](size_t a) { return slots[a].param.size(); });
    const auto kernel = HWY_DYNAMIC_DISPATCH(average_piece);
    parallel_for(int64_t(pieces.size()), [&](int64_t i) {
      const Piece& piece = pieces[size_t(i)];
      kernel(slots[piece.array], piece.begin, piece.end, decay);
    });
  }
};

}  // namespace

OptimizerOps& cpu_optimizer() {
  static auto& operations = *new CpuOptimizerOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif
