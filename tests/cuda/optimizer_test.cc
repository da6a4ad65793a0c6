#include "core/cuda/kernels/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>

#include "tests/cuda/device_buffer.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"

namespace folio {
namespace {

// Arrays of many sizes: of none, of less and of more than a block's chunk, and more of them than
// one launch takes.
std::vector<size_t> sizes() {
  if (with_tsan) return {1, 300, 2};
  std::vector<size_t> sizes{1, 4096, 4097, 9000};
  sizes.insert(sizes.end(), 260, 3);
  return sizes;
}

TEST(CudaOptimizer, NormAndClipping) {
  std::deque<DeviceBuffer<float>> arrays;
  std::vector<cuda::Values<float>> table{{nullptr, 0}};
  double squares = 0;
  for (size_t n : sizes()) {
    const std::vector<float> values = normal<float>(n, uint32_t(n));
    for (float value : values) squares += double(value) * value;
    arrays.emplace_back(values);
    table.push_back({arrays.back().data(), int64_t(n)});
  }
  auto expect_matches = [&] {
    const int64_t parts = cuda::squares_of(std::span<const cuda::Values<float>>(table));
    DeviceBuffer<double> sums{size_t(parts)};
    DeviceBuffer<float> norm(1), scale(1), whole(1);
    cuda::sum_of_squares(std::span<const cuda::Values<float>>(table), sums.data(), test_stream());
    cuda::root_of_sums(sums.data(), parts, norm.data(), test_stream());
    cuda::clip_scale(norm.data(), 1.0, scale.data(), test_stream());
    cuda::clip_scale(norm.data(), 1e6, whole.data(), test_stream());
    EXPECT_FLOAT_EQ(norm.read()[0], float(std::sqrt(squares)));
    EXPECT_FLOAT_EQ(scale.read()[0], float(1 / (std::sqrt(squares) + 1e-6)));
    EXPECT_EQ(whole.read()[0], 1);
  };
  expect_matches();
  squares = 0;  // once more in every schedule, of a few
  table.resize(4);
  for (size_t i = 1; i < table.size(); ++i)
    for (float value : arrays[i - 1].read()) squares += double(value) * value;
  on_every_schedule(expect_matches);
  DeviceBuffer<float> nan(std::vector<float>{std::nanf("")}), scale(1);
  cuda::clip_scale(nan.data(), 1.0, scale.data(), test_stream());
  EXPECT_TRUE(std::isnan(scale.read()[0]));
}

// Two steps of the paper's formulas, in f64.
TEST(CudaOptimizer, AdamWIsThePapers) {
  const double rate = 1e-2, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, clip = 0.5;
  struct Slot {
    std::vector<double> param, grad;
    double weight_decay;
  };
  std::vector<Slot> slots;
  for (size_t n : sizes())
    slots.push_back({normal<double>(n, 1), normal<double>(n, 2), slots.size() % 2 ? 0.1 : 0.0});
  std::deque<DeviceBuffer<double>> buffers;
  std::vector<cuda::AdamWParameter<double>> table;
  auto on_device = [&](const std::vector<double>& values) {
    return buffers.emplace_back(values).data();
  };
  for (const Slot& slot : slots) {
    const std::vector<double> zeros(slot.param.size());
    table.push_back({on_device(slot.param), on_device(slot.grad), on_device(zeros),
                     on_device(zeros), int64_t(slot.param.size()), slot.weight_decay});
  }
  DeviceBuffer<float> scale(std::vector<float>{float(clip)});
  for (int64_t step : {1, 2})
    cuda::adamw(std::span<const cuda::AdamWParameter<double>>(table),
                {rate, beta1, beta2, eps, step, scale.data()}, test_stream());
  for (size_t s = 0; s < slots.size(); ++s) {
    std::vector<double> expected;
    for (size_t i = 0; i < slots[s].param.size(); ++i) {
      double p = slots[s].param[i], m = 0, v = 0;
      const double g = slots[s].grad[i] * clip;
      for (int step : {1, 2}) {
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        const double m_hat = m / (1 - std::pow(beta1, step)),
                     v_hat = v / (1 - std::pow(beta2, step));
        p -= rate * slots[s].weight_decay * p;
        p -= rate * m_hat / (std::sqrt(v_hat) + eps);
      }
      expected.push_back(p);
    }
    EXPECT_LE(error_of(buffers[4 * s].read(), expected), 1e-12) << s;
  }
}

}  // namespace
}  // namespace folio
