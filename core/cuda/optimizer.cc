#include "core/cuda/kernels/optimizer.h"

#include <vector>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/muon.h"
#include "core/cuda/stream.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::stream;

// The sums of the squares in those of the arrays that hold T.
template <class T>
Array squares_in(std::span<const Array> arrays) {
  std::vector<cuda::Values<T>> values;
  for (const Array& array : arrays)
    if (array.dtype() == dtype_of<T>) values.push_back({array.data<T>(), array.size()});
  const std::span<const cuda::Values<T>> all(values);
  Array sums({cuda::squares_of(all)}, DType::f64, RunningOn::device().value());
  cuda::sum_of_squares(all, sums.data<double>(), stream());
  return sums;
}

template <class T>
void adamw_of(std::span<const AdamWSlot> slots, const cuda::AdamWFactors& factors) {
  std::vector<cuda::AdamWParameter<T>> parameters;
  for (const AdamWSlot& slot : slots)
    parameters.push_back({slot.param.data<T>(), slot.grad.data<T>(), slot.m.data<T>(),
                          slot.v.data<T>(), slot.param.size(), slot.weight_decay,
                          slot.rounded.defined() ? slot.rounded.data<bfloat16>() : nullptr});
  cuda::adamw(std::span<const cuda::AdamWParameter<T>>(parameters), factors, stream());
}

// [1] i32: not 0 if a number in one of the figures is NaN or infinite; undefined without figures.
Array skip_unless_finite(const std::vector<Array>& figures) {
  if (figures.empty()) return {};
  Array skip = full({1}, 0, DType::i32, figures.front().device());
  for (const Array& values : figures)
    cuda::find_not_finite(values.data<float>(), values.size(), skip.data<int32_t>(), stream());
  return skip;
}

const int32_t* values_or_null(const Array& skip) {
  return skip.defined() ? skip.data<int32_t>() : nullptr;
}

class CudaOptimizerOps final : public OptimizerOps {
 public:
  Array norm(std::span<const Array> arrays) override {
    const Device device = RunningOn::device().value();
    const Array parts[] = {squares_in<double>(arrays), squares_in<float>(arrays),
                           squares_in<bfloat16>(arrays)};
    Array sums({parts[0].size() + parts[1].size() + parts[2].size()}, DType::f64, device);
    int64_t at = 0;
    for (const Array& part : parts) {
      backend(device)->layout.copy_block(part, 0, sums, at, part.size(), 0);
      at += part.size();
    }
    Array result({}, DType::f32, device);
    cuda::root_of_sums(sums.data<double>(), sums.size(), result.data<float>(), stream());
    return result;
  }

  Array clip_scale(const Array& norm, double limit) override {
    Array scale({}, DType::f32, norm.device());
    cuda::clip_scale(norm.data<float>(), limit, scale.data<float>(), stream());
    return scale;
  }

  void adamw(std::span<const AdamWSlot> slots, const AdamWStep& step) override {
    if (slots.empty()) return;
    for (const AdamWSlot& slot : slots)
      for (const Array* written : {&slot.param, &slot.m, &slot.v, &slot.rounded})
        if (written->defined()) written->begin_write("adamw");
    const Array skip = skip_unless_finite(step.only_if_finite);
    const cuda::AdamWFactors factors{
        .learning_rate = step.learning_rate,
        .beta1 = step.beta1,
        .beta2 = step.beta2,
        .eps = step.eps,
        .step = step.step,
        .grad_scale = step.grad_scale.defined() ? step.grad_scale.data<float>() : nullptr,
        .skip = values_or_null(skip)};
    if (slots.front().param.dtype() == DType::f64)
      adamw_of<double>(slots, factors);
    else
      adamw_of<float>(slots, factors);
  }

  void muon(std::span<const MuonSlot> slots, const MuonStep& step) override {
    const Array skip = skip_unless_finite(step.only_if_finite);
    cuda::muon(slots, step, values_or_null(skip));
  }

  void average(std::span<const AverageSlot> slots, double decay,
               const std::vector<Array>& only_if_finite) override {
    std::vector<cuda::AverageOf> averages;
    for (const AverageSlot& slot : slots) {
      slot.average.begin_write("average");
      averages.push_back({slot.average.data<float>(), slot.param.data<float>(), slot.param.size()});
    }
    const Array skip = skip_unless_finite(only_if_finite);
    cuda::average(averages, decay, values_or_null(skip), stream());
  }
};

}  // namespace

OptimizerOps& cuda_optimizer() {
  static auto& operations = *new CudaOptimizerOps;
  return operations;
}

}  // namespace folio
