#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "core/parallel.h"
#include "tests/core/attention/attention_reference.h"
#include "tests/device.h"

namespace folio {
namespace {

Dropout dropout_of(double p) { return Dropout::with(p, RandomStream{0x1234567890abcdefu, 77}); }

// (T, D): every way that a length and a width can miss a block, a vector or a group of 8.
class AttentionShapes : public testing::TestWithParam<std::tuple<int64_t, int64_t>> {
 protected:
  Sizes sizes() const {
    auto [T, D] = GetParam();
    return {T < 100 ? 2 : 1, T, 2, D};
  }
};
INSTANTIATE_TEST_SUITE_P(All, AttentionShapes,
                         testing::Combine(testing::Values(1, 3, 8, 63, 64, 65, 100, 256),
                                          testing::Values(4, 16, 20, 32, 64)),
                         [](const auto& info) {
                           return fmt::format("T{}_D{}", std::get<0>(info.param),
                                              std::get<1>(info.param));
                         });

TEST_P(AttentionShapes, MatchesTheWholeMatrix) {
  const Sizes s = sizes();
  for (double p : {0.0, 0.3}) {
    for (auto [dtype, tolerance, grad_tolerance] : {std::tuple{DType::f64, 1e-12, 1e-12},
                                                    {DType::f32, 4e-6, 2e-5},
                                                    {DType::bf16, 8e-3, 3e-2}}) {
      // What the arrays hold after rounding is what the reference sees.
      Array qkv = array_of(normal_values(s.packed().size(), 1), s.packed(), dtype);
      Array dy = array_of(normal_values(s.rows().size(), 2), s.rows(), dtype);
      AttentionReference expected =
          attention_reference(s, values_of(qkv), values_of(dy), dropout_of(p));
      on_every_path([&] {
        Attended forward = test_backend()->attention.forward(qkv, s.heads(), dropout_of(p));
        Array dqkv = test_backend()->attention.grad(dy, qkv, forward, s.heads(), dropout_of(p));
        SCOPED_TRACE(fmt::format("{}, dropout {}", dtype, p));
        EXPECT_EQ(forward.y.shape(), s.rows());
        EXPECT_EQ(forward.y.dtype(), dtype);
        EXPECT_EQ(forward.lse.shape(), (Shape{s.B, s.H, s.T}));
        EXPECT_LE(largest_error(forward.y, expected.y), tolerance);
        EXPECT_LE(largest_error(forward.lse, expected.lse), dtype == DType::f64 ? 1e-12 : 2e-6);
        EXPECT_EQ(dqkv.shape(), s.packed());
        EXPECT_LE(largest_error(dqkv, expected.dqkv), grad_tolerance);
      });
    }
  }
}

TEST(Attention, GradientMatchesFiniteDifferences) {
  const Sizes s{1, 11, 2, 4};
  const Dropout dropout = dropout_of(0.25);
  std::vector<double> qkv = normal_values(s.packed().size(), 3);
  const std::vector<double> dy = normal_values(s.rows().size(), 4);
  auto forward = [&] {
    return test_backend()->attention.forward(to_array(qkv, s.packed()), s.heads(), dropout);
  };
  auto objective = [&] {
    double sum = 0;
    std::vector<double> y = values_of(forward().y);
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  const std::vector<double> grad = values_of(test_backend()->attention.grad(
      to_array(dy, s.rows()), to_array(qkv, s.packed()), forward(), s.heads(), dropout));
  for (size_t i = 0; i < qkv.size(); ++i) {
    const double at = qkv[i], step = 1e-5;
    qkv[i] = at + step;
    const double above = objective();
    qkv[i] = at - step;
    const double below = objective();
    qkv[i] = at;
    ASSERT_NEAR(grad[i], (above - below) / (2 * step), 1e-8) << "element " << i;
  }
}

TEST(Attention, LargeScoresStayFiniteAndNanIsNotSwallowed) {
  const Sizes s{1, 70, 1, 16};
  for (DType dtype : {DType::f32, DType::bf16}) {
    on_every_path([&] {
      std::vector<double> values = normal_values(s.packed().size(), 5, 100);
      Array qkv = array_of(values, s.packed(), dtype);
      Array dy = array_of(normal_values(s.rows().size(), 6), s.rows(), dtype);
      Attended forward = test_backend()->attention.forward(qkv, s.heads(), {});
      for (double y : values_of(forward.y)) ASSERT_TRUE(std::isfinite(y));
      for (double g : values_of(test_backend()->attention.grad(dy, qkv, forward, s.heads(), {}))) {
        ASSERT_TRUE(std::isfinite(g));
      }
      values[size_t(40 * 48 + 16)] = std::nan("");  // one key
      std::vector<double> y = values_of(
          test_backend()->attention.forward(array_of(values, s.packed(), dtype), s.heads(), {}).y);
      for (int64_t t = 0; t < s.T; ++t) ASSERT_EQ(std::isnan(y[size_t(t * 16)]), t >= 40) << t;
    });
  }
}

TEST(Attention, BitsDoNotDependOnTheThreads) {
  for (const Sizes& s : {Sizes{3, 100, 5, 20}, Sizes{1, 600, 2, 32}}) {
    for (DType dtype : {DType::f32, DType::bf16}) {
      Array qkv = array_of(normal_values(s.packed().size(), 7), s.packed(), dtype);
      Array dy = array_of(normal_values(s.rows().size(), 8), s.rows(), dtype);
      std::vector<std::vector<char>> results;
      for (int threads : {1, 2, 3}) {
        set_parallel_threads(threads);
        Attended forward = test_backend()->attention.forward(qkv, s.heads(), dropout_of(0.1));
        Array dqkv = test_backend()->attention.grad(dy, qkv, forward, s.heads(), dropout_of(0.1));
        std::vector<char> bytes = bytes_of(forward.y);
        for (const Array& part : {forward.lse, dqkv}) {
          std::vector<char> more = bytes_of(part);
          bytes.insert(bytes.end(), more.begin(), more.end());
        }
        results.push_back(bytes);
      }
      set_parallel_threads(0);
      EXPECT_TRUE(results[0] == results[1]);
      EXPECT_TRUE(results[0] == results[2]);
    }
  }
}

}  // namespace
}  // namespace folio
