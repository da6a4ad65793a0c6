#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#ifndef FOLIO_TESTS_CORE_SIMD_TEST_ONCE
#define FOLIO_TESTS_CORE_SIMD_TEST_ONCE
namespace folio {
enum class Function { exp, erf, tanh, gelu_erf_slope };
}
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/core/backend/simd_test.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/cpu/simd-inl.h"
#include "core/elementwise.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

template <class T>
void evaluate(Function which, const std::vector<T>& in, std::vector<T>& out) {
  Tag<T> d;
  for_vectors(d, 0, int64_t(in.size()), [&](int64_t i, auto n) HWY_ATTR {
    auto x = load(d, &in[size_t(i)], n);
    auto y = x;
    if (which == Function::exp) y = exp(x);
    if (which == Function::erf) y = erf(x);
    if (which == Function::tanh) y = tanh(x);
    if (which == Function::gelu_erf_slope) y = GeluErf::slope(x);
    store(y, &out[size_t(i)], n);
  });
}
void evaluate_f32(Function which, const std::vector<float>& in, std::vector<float>& out) {
  evaluate(which, in, out);
}
void evaluate_f64(Function which, const std::vector<double>& in, std::vector<double>& out) {
  evaluate(which, in, out);
}

void round_to_bf16(const std::vector<float>& in, std::vector<bfloat16>& out,
                   std::vector<float>& back) {
  Tag<float> d;
  for_vectors(d, 0, int64_t(in.size()), [&](int64_t i, auto n) HWY_ATTR {
    store(load(d, &in[size_t(i)], n), &out[size_t(i)], n);
    store(load(d, &out[size_t(i)], n), &back[size_t(i)], n);
  });
}

void factors(const Dropout& dropout, uint64_t first, float kept, std::vector<float>& out) {
  dropout_factors(dropout, first, out.size(), kept, out.data());
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(evaluate_f32);
HWY_EXPORT(evaluate_f64);
HWY_EXPORT(round_to_bf16);
HWY_EXPORT(factors);

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

// Every test below runs on each SIMD target that this processor has.
class SimdTest : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override { choose(GetParam()); }
  void TearDown() override { choose(0); }
  static void choose(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

std::vector<float> of(Function which, const std::vector<float>& in) {
  std::vector<float> out(in.size());
  HWY_DYNAMIC_DISPATCH(evaluate_f32)(which, in, out);
  return out;
}
std::vector<double> of_f64(Function which, const std::vector<double>& in) {
  std::vector<double> out(in.size());
  HWY_DYNAMIC_DISPATCH(evaluate_f64)(which, in, out);
  return out;
}

// Both signs, every binary exponent from 2^-40 on, and points between.
std::vector<float> sweep(float limit) {
  std::vector<float> points = {0.0f, -0.0f};
  for (float x = 0x1p-40f; x < limit; x *= 1.0003f) {
    points.push_back(x);
    points.push_back(-x);
  }
  return points;
}

double largest_error(Function which, double (*reference)(double), float limit, bool relative) {
  auto in = sweep(limit);
  auto out = of(which, in);
  double worst = 0;
  for (size_t i = 0; i < in.size(); ++i) {
    double expected = reference(in[i]);
    double error = std::abs(out[i] - expected);
    if (relative && expected != 0) error /= std::abs(expected);
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

TEST_P(SimdTest, ErfIsAccurateEverywhere) {
  double worst = largest_error(Function::erf, std::erf, 30, true);
  RecordProperty("relative", fmt::format("{:.2e}", worst));
  const bool fused_multiply_adds = GetParam() <= HWY_AVX2;
  EXPECT_LE(worst, fused_multiply_adds ? 3e-7 : 4e-7);
  auto ends = of(Function::erf, {infinity, -infinity, 1e30f, -1e30f, nan});
  EXPECT_EQ(std::vector(ends.begin(), ends.end() - 1), (std::vector<float>{1, -1, 1, -1}));
  EXPECT_TRUE(std::isnan(ends[4]));
}

TEST_P(SimdTest, TanhIsAccurateEverywhere) {
  double worst = largest_error(Function::tanh, std::tanh, 100, true);
  RecordProperty("relative", fmt::format("{:.2e}", worst));
  EXPECT_LE(worst, 5e-7);
  auto ends = of(Function::tanh, {infinity, -infinity, 1e30f, -1e30f, nan});
  EXPECT_EQ(std::vector(ends.begin(), ends.end() - 1), (std::vector<float>{1, -1, 1, -1}));
  EXPECT_TRUE(std::isnan(ends[4]));
}

TEST_P(SimdTest, ExpIsAccurateEverywhere) {
  double worst = largest_error(Function::exp, std::exp, 87, true);
  RecordProperty("relative", fmt::format("{:.2e}", worst));
  EXPECT_LE(worst, 2.5e-7);
  auto ends = of(Function::exp, {infinity, -infinity, 89, 1e30f, -1e30f, nan});
  EXPECT_EQ(std::vector(ends.begin(), ends.end() - 1),
            (std::vector<float>{infinity, 0, infinity, infinity, 0}));
  EXPECT_TRUE(std::isnan(ends[5]));
}

TEST_P(SimdTest, F64FunctionsAreDoublePrecise) {
  std::vector<double> in = {-30, -2.5, -1e-9, 0, 0.3, 1, 4.5, 700, nan};
  for (auto [which, reference] : {std::pair<Function, double (*)(double)>{Function::exp, std::exp},
                                  {Function::erf, std::erf},
                                  {Function::tanh, std::tanh}}) {
    auto out = of_f64(which, in);
    for (size_t i = 0; i + 1 < in.size(); ++i)
      EXPECT_NEAR(out[i], reference(in[i]), 1e-14 * std::abs(reference(in[i])));
    EXPECT_TRUE(std::isnan(out.back()));
  }
}

TEST_P(SimdTest, FunctorsRunOnVectors) {
  auto slope = +[](double x) { return GeluErf::slope(x); };
  EXPECT_LE(largest_error(Function::gelu_erf_slope, slope, 20, false), 5e-7);
}

TEST_P(SimdTest, Bf16RoundsAsTheScalarTypeDoes) {
  std::vector<float> in = {0.0f, -0.0f, infinity, -infinity, nan, 3.4e38f, 1e-40f,
                           // halfway cases: to even, down and up
                           std::bit_cast<float>(0x3f808000u), std::bit_cast<float>(0x3f818000u),
                           std::bit_cast<float>(0x3f808001u), std::bit_cast<float>(0x7f800001u)};
  std::mt19937 bits(1);
  for (int i = 0; i < 10000; ++i) in.push_back(std::bit_cast<float>(uint32_t(bits())));
  std::vector<bfloat16> out(in.size());
  std::vector<float> back(in.size());
  HWY_DYNAMIC_DISPATCH(round_to_bf16)(in, out, back);
  EXPECT_EQ(out[7].bits, 0x3f80);
  EXPECT_EQ(out[8].bits, 0x3f82);
  EXPECT_EQ(out[9].bits, 0x3f81);
  for (size_t i = 0; i < in.size(); ++i) {
    ASSERT_EQ(out[i].bits, bfloat16(in[i]).bits) << in[i];
    ASSERT_EQ(std::bit_cast<uint32_t>(back[i]), uint32_t(out[i].bits) << 16);
  }
}

TEST_P(SimdTest, DropoutFactorsFollowTheScalarMask) {
  Dropout dropout = Dropout::with(0.3, {0x123456789abcdef0u, 0xfedcba9876543210u});
  // The second start crosses 2^32 blocks.
  for (uint64_t start : {uint64_t(0), (uint64_t(1) << 35) - 200}) {
    for (uint64_t offset : {0, 1, 5, 7, 8, 63, 100}) {
      for (size_t n : {0, 1, 7, 63, 64, 65, 500}) {
        std::vector<float> out(n, -1);
        HWY_DYNAMIC_DISPATCH(factors)(dropout, start + offset, 2.5f, out);
        for (size_t i = 0; i < n; ++i)
          ASSERT_EQ(out[i], dropout.keeps(start + offset + i) ? 2.5f : 0.0f)
              << start << " + " << offset << " + " << i << " of " << n;
      }
    }
  }
}

TEST_P(SimdTest, DropoutOfOneDropsEverything) {
  std::vector<float> out(1000, -1);
  HWY_DYNAMIC_DISPATCH(factors)(Dropout::with(1, {}), 3, 1, out);
  EXPECT_EQ(out, std::vector<float>(1000, 0));
}

INSTANTIATE_TEST_SUITE_P(Targets, SimdTest, testing::ValuesIn(hwy::SupportedAndGeneratedTargets()),
                         [](const auto& target) {
                           return std::string(hwy::TargetName(target.param));
                         });

}  // namespace
}  // namespace folio
#endif
