#include "core/random.h"

#include <cmath>

#include "tests/core/arrays.h"
#include "tests/device.h"

namespace folio {
namespace {

using Words = std::array<uint32_t, 4>;

// The known answers that Random123 publishes for philox4x32-10.
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t ones = 0xffffffff;
  EXPECT_EQ(philox({ones, ones, ones, ones}, ~uint64_t(0)),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0x299f31d0a4093822),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, CountsBlocksInTheLowWordsAndStreamsInTheHigh) {
  RandomStream stream{0x299f31d0a4093822, 0x0370734413198a2e};
  EXPECT_EQ(stream.block(0x85a308d3243f6a88),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Generator, NeverHandsOutAStreamTwice) {
  Generator generator{7};
  RandomStream first = generator.next(), second = generator.next();
  EXPECT_EQ(first.seed, 7u);
  EXPECT_EQ(second.seed, 7u);
  EXPECT_NE(first.stream, second.stream);
  EXPECT_EQ(generator.drawn, 2u);
}

TEST(Dropout, RoundsPAndScalesByWhatIsKept) {
  EXPECT_FALSE(Dropout::with(0, {}).enabled());
  Dropout half = Dropout::with(0.5, {});
  EXPECT_EQ(half.threshold, 32768u);
  EXPECT_EQ(half.scale(), 2.0);
}

// Number 3 of a block is the high half of its word 1.
TEST(Dropout, ComparesTheSixteenBitNumbers) {
  RandomStream zero;  // block 0: 6627e8d5 e169c58d bc57ac4c 9b00dbd8
  EXPECT_TRUE((Dropout{0xe169, zero}.keeps(3)));
  EXPECT_FALSE((Dropout{0xe16a, zero}.keeps(3)));
  EXPECT_TRUE((Dropout{0xac4c, zero}.keeps(4)));
  EXPECT_FALSE((Dropout{0xac4d, zero}.keeps(4)));
}

TEST(Dropout, ArraysFollowTheMaskInEveryDtype) {
  on_every_target([&] {
    constexpr int64_t size = 40003;
    auto x = normal_values(size, 1), residual = normal_values(size, 2);
    Dropout dropout = Dropout::with(0.2, {11, 5});
    for (DType dtype : float_dtypes) {
      Array a = array_of(x, {size}, dtype), r = array_of(residual, {size}, dtype);
      auto in = values_of(a), base = values_of(r);
      std::vector<double> sum, alone;
      for (size_t i = 0; i < in.size(); ++i) {
        alone.push_back(dropout.keeps(i) ? in[i] * dropout.scale() : 0.0);
        sum.push_back(base[i] + alone[i]);
      }
      expect_near(backend(a)->random.add_dropout(r, a, dropout), sum, epsilon_of(dtype));
      expect_near(backend(a)->random.add_dropout({}, a, dropout), alone, epsilon_of(dtype));
      expect_near(backend(a)->random.dropout_grad(a, dropout, dtype), alone, epsilon_of(dtype));
      EXPECT_EQ(values_of(backend(a)->random.dropout_grad(a, {}, dtype)), in);
    }
  });
}

// A bf16 branch that joins an f32 stream is added without rounding the stream; its gradient comes
// back in bf16.
TEST(Dropout, JoinsAnF32StreamWithABf16Branch) {
  on_every_target([&] {
    constexpr int64_t size = 40003;
    Array x = array_of(normal_values(size, 1), {size}, DType::bf16);
    Array stream = array_of(normal_values(size, 2), {size}, DType::f32);
    for (Dropout dropout : {Dropout::with(0.2, {11, 5}), Dropout{}}) {
      auto in = values_of(x), base = values_of(stream), dy = base;
      for (size_t i = 0; i < in.size(); ++i) {
        const double factor = !dropout.enabled() ? 1 : dropout.keeps(i) ? dropout.scale() : 0;
        base[i] += factor * in[i];
        dy[i] *= factor;
      }
      Array y = backend(x)->random.add_dropout(stream, x, dropout);
      EXPECT_EQ(y.dtype(), DType::f32);
      expect_near(y, base, epsilon_of(DType::f32));
      Array dx = backend(x)->random.dropout_grad(stream, dropout, DType::bf16);
      EXPECT_EQ(dx.dtype(), DType::bf16);
      expect_near(dx, dy, epsilon_of(DType::bf16));
    }
  });
}

TEST(Dropout, DropsTheShareAskedFor) {
  constexpr int64_t size = 1 << 20;
  Array ones = zeros({size}, DType::f32);
  backend(ones)->elementwise.fill(ones, 1);
  Array y = backend(ones)->random.add_dropout({}, ones, Dropout::with(0.2, {3, 4}));
  double dropped = 0, pairs = 0;
  auto values = to_vector<float>(y);
  for (size_t i = 0; i < values.size(); ++i) {
    dropped += values[i] == 0;
    if (i > 0) pairs += values[i] == 0 && values[i - 1] == 0;
  }
  EXPECT_NEAR(dropped / size, 0.2, 5 * std::sqrt(0.2 * 0.8 / size));
  EXPECT_NEAR(pairs / size, 0.04, 8 * std::sqrt(0.04 * 0.96 / size));  // neighbours independent
}

TEST(Dropout, SameBitsForAnyThreads) {
  Array x = array_of(normal_values(100001, 3), {100001}, DType::bf16);
  Dropout dropout = Dropout::with(0.1, {1, 2});
  expect_same_for_any_threads(
      [&] { return std::vector{backend(x)->random.add_dropout(x, x, dropout)}; });
}

TEST(RandomNormal, HasTheMomentsOfANormal) {
  constexpr int64_t size = 1 << 20;
  Array x({size}, DType::f64, test_device());
  backend(x)->random.normal(x, 3, 2, {5, 6});
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, neighbours = 0, tail = 0, last = 0;
  for (double value : to_vector<double>(x)) {
    double z = (value - 3) / 2;
    m1 += z, m2 += z * z, m3 += z * z * z, m4 += z * z * z * z;
    neighbours += z * last, tail += std::abs(z) > 3, last = z;
  }
  const double n = size, sigma = 1 / std::sqrt(n);
  EXPECT_NEAR(m1 / n, 0, 5 * sigma);
  EXPECT_NEAR(m2 / n, 1, 5 * sigma * std::sqrt(2.0));
  EXPECT_NEAR(m3 / n, 0, 5 * sigma * std::sqrt(15.0));
  EXPECT_NEAR(m4 / n, 3, 5 * sigma * std::sqrt(96.0));
  EXPECT_NEAR(neighbours / n, 0, 5 * sigma);
  EXPECT_NEAR(tail / n, 0.0026998, 5 * sigma * std::sqrt(0.0027));
}

TEST(RandomNormal, IsTheSameNumbersInEveryDtypeAndSize) {
  RandomStream stream{9, 1};
  Array f64({5001}, DType::f64, test_device()), f32 = empty({5001}, DType::f32),
                                                bf16 = empty({5001}, DType::bf16);
  Array few({7}, DType::f64, test_device()), other = empty({5001}, DType::f64);
  for (Array* x : {&f64, &f32, &bf16, &few}) backend(*x)->random.normal(*x, 0, 0.02, stream);
  backend(other)->random.normal(other, 0, 0.02, {9, 2});
  auto exact = to_vector<double>(f64);
  auto single = to_vector<float>(f32);
  for (size_t i = 0; i < exact.size(); ++i) ASSERT_EQ(single[i], float(exact[i]));
  auto half = to_vector<bfloat16>(bf16);
  for (size_t i = 0; i < exact.size(); ++i) ASSERT_EQ(half[i].bits, bfloat16(float(exact[i])).bits);
  EXPECT_EQ(to_vector<double>(few), std::vector(exact.begin(), exact.begin() + 7));
  EXPECT_NE(to_vector<double>(other), exact);
}

TEST(RandomNormal, SameBitsForAnyThreads) {
  expect_same_for_any_threads([] {
    Array x({30001}, DType::f32, test_device());
    backend(x)->random.normal(x, 0, 1, {1, 1});
    return std::vector{x};
  });
}

TEST(UniformBelow, IsUniform) {
  const int n = 70000;
  double counts[7] = {};
  for (int i = 0; i < n; ++i) ++counts[uniform_below(7, {1, 2}, uint64_t(i))];
  double chi_squared = 0;
  for (double count : counts) chi_squared += (count - n / 7.0) * (count - n / 7.0) / (n / 7.0);
  EXPECT_LT(chi_squared, 27.9);  // 6 degrees of freedom: 1 in 10,000
}

// number % bound alone would give the first third half of all draws.
TEST(UniformBelow, HasNoBiasForHugeBounds) {
  uint64_t third = uint64_t(1) << 62, bound = 3 * third;
  int low = 0;
  for (uint64_t i = 0; i < 9000; ++i) {
    uint64_t number = uniform_below(bound, {5, 0}, i);
    ASSERT_LT(number, bound);
    low += number < third;
  }
  EXPECT_NEAR(low, 3000, 4 * 45);  // 4 standard deviations
}

}  // namespace
}  // namespace folio
