#include "core/cuda/kernels/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <limits>

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
  size_t total = 0;
  for (size_t n : sizes()) total += n;
  const std::vector<double> param = normal<double>(total, 1), grad = normal<double>(total, 2);
  DeviceBuffer<double> device_param(param), device_grad(grad);
  DeviceBuffer<double> m(std::vector<double>(total, 0)), v(std::vector<double>(total, 0));
  DeviceBuffer<float> scale(std::vector<float>{float(clip)});
  std::vector<cuda::AdamWParameter<double>> table;
  std::vector<double> expected;
  for (size_t n : sizes()) {
    const size_t first = expected.size();
    const double weight_decay = table.size() % 2 ? 0.1 : 0.0;
    table.push_back({device_param.data() + first, device_grad.data() + first, m.data() + first,
                     v.data() + first, int64_t(n), weight_decay});
    for (size_t i = first; i < first + n; ++i) {
      double p = param[i], mean = 0, square = 0;
      const double g = grad[i] * clip;
      for (int step : {1, 2}) {
        mean = beta1 * mean + (1 - beta1) * g;
        square = beta2 * square + (1 - beta2) * g * g;
        p -= rate * weight_decay * p;
        p -= rate * (mean / (1 - std::pow(beta1, step))) /
             (std::sqrt(square / (1 - std::pow(beta2, step))) + eps);
      }
      expected.push_back(p);
    }
  }
  for (int64_t step : {1, 2})
    cuda::adamw(std::span<const cuda::AdamWParameter<double>>(table),
                {rate, beta1, beta2, eps, step, scale.data()}, test_stream());
  EXPECT_LE(error_of(device_param.read(), expected), 1e-12);
}

// In any lane of the warp, in its first turn and in a later one that has lanes without a value.
// What is found stays found.
TEST(CudaOptimizer, WhatIsNotFiniteIsFoundAnywhere) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  constexpr float most = std::numeric_limits<float>::max();
  auto found_in = [](const std::vector<float>& values, int before) {
    DeviceBuffer<float> figures(values);
    DeviceBuffer<int> found(std::vector<int>{before});
    cuda::find_not_finite(figures.data(), int64_t(values.size()), found.data(), test_stream());
    return found.read()[0];
  };
  on_every_schedule([&] {
    const std::vector<float> finite(40, most);
    EXPECT_EQ(found_in(finite, 0), 0);
    EXPECT_EQ(found_in(finite, 1), 1);
    for (size_t at : {0, 13, 31, 32, 39})
      for (float value : {inf, -inf, std::numeric_limits<float>::quiet_NaN()}) {
        std::vector<float> values = finite;
        values[at] = value;
        EXPECT_EQ(found_in(values, 0), 1) << value << " at " << at;
      }
  });
}

}  // namespace
}  // namespace folio
