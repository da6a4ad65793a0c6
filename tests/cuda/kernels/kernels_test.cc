// Correct kernels are right in every schedule.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

#include "tests/cuda/device_buffer.h"
#include "tests/cuda/kernels/kernels.h"
#include "tests/cuda/schedules.h"

namespace folio {
namespace {

using testing::Each;
using testing::FloatNear;
using testing::Pointwise;

// Small integers: sums of them are exact in any order.
std::vector<float> integers(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(n);
  for (float& value : values) value = float(int(random() % 17) - 8);
  return values;
}

std::vector<bfloat16> in_bf16(const std::vector<float>& values) {
  return std::vector<bfloat16>(values.begin(), values.end());
}

TEST(Kernels, BlocksSumThroughShufflesAndSharedMemory) {
  for (int n : {1, 255, 256, 257, 1000}) {
    const std::vector<float> values = integers(size_t(n), 1);
    const size_t blocks = size_t(n + 255) / 256;
    std::vector<float> expected(blocks);
    for (size_t i = 0; i < values.size(); ++i) expected[i / 256] += values[i];
    DeviceBuffer<float> x(values);
    on_every_schedule([&] {
      DeviceBuffer<float> sums(blocks);
      block_sums(x.data(), n, sums.data(), Fault::none, test_stream());
      EXPECT_EQ(sums.read(), expected) << n;
    });
  }
}

TEST(Kernels, TilesAreTransposedThroughSharedMemory) {
  for (auto [rows, columns] : {std::pair{1, 1}, {32, 64}, {33, 40}, {70, 31}}) {
    const std::vector<float> values = integers(size_t(rows * columns), 2);
    std::vector<float> expected(values.size());
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c)
        expected[size_t(c * rows + r)] = values[size_t(r * columns + c)];
    DeviceBuffer<float> x(values);
    on_every_schedule([&] {
      DeviceBuffer<float> y(values.size());
      transposed(x.data(), rows, columns, y.data(), test_stream());
      EXPECT_EQ(y.read(), expected) << rows << " x " << columns;
    });
  }
}

TEST(Kernels, LanesExchangeThroughSharedMemoryAndShuffles) {
  const std::vector<float> values = integers(64, 3);
  std::vector<float> reversed(64), exchanged_pairs(64);
  for (size_t i = 0; i < 64; ++i) {
    reversed[i] = values[i ^ 31];
    exchanged_pairs[i] = values[i ^ 1];
  }
  DeviceBuffer<float> x(values);
  on_every_schedule([&] {
    DeviceBuffer<float> y(64);
    reversed_in_warps(x.data(), 64, y.data(), Fault::none, test_stream());
    EXPECT_EQ(y.read(), reversed);
    exchanged(x.data(), y.data(), Fault::none, test_stream());
    EXPECT_EQ(y.read(), exchanged_pairs);
  });
}

TEST(Kernels, VectorsOfFourAreLoaded) {
  const std::vector<float> values = integers(4 * 100, 4);
  std::vector<float> expected(100);
  for (size_t i = 0; i < values.size(); ++i) expected[i / 4] += values[i];
  DeviceBuffer<float> x(values), y(100);
  sums_of_four(x.data(), 100, y.data(), Fault::none, test_stream());
  EXPECT_EQ(y.read(), expected);
}

// Of every float whose lower half is one of few, those halfway between two bf16 among them. NaN has
// no bits of its own.
TEST(Kernels, PairsAreRoundedToNearestEven) {
  std::vector<float> values;
  std::vector<uint32_t> expected;
  for (uint32_t upper = 0; upper < 0x10000; upper += with_tsan ? 997 : 3)
    for (uint32_t lower : {0u, 1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu}) {
      const auto value = std::bit_cast<float>(upper << 16 | lower);
      if (std::isnan(value)) continue;
      values.push_back(value);
      if (values.size() % 2 == 0)
        expected.push_back(uint32_t(bfloat16(value).bits) << 16 |
                           bfloat16(values[values.size() - 2]).bits);
    }
  if (values.size() % 2 == 1) values.pop_back();
  DeviceBuffer<float> x(values);
  DeviceBuffer<uint32_t> pairs(expected.size());
  packed_pairs(x.data(), int(expected.size()), pairs.data(), test_stream());
  EXPECT_EQ(pairs.read(), expected);
}

// "PTX ISA", ex2.approx.ftz.f32: 2 ulp; what is below the least normal number is 0.
TEST(Kernels, PowersOfTwoAreWithinTwoUlp) {
  std::vector<float> values;
  for (float x = -126; x <= 127; x += with_tsan ? 1.13f : 0.0113f) values.push_back(x);
  values.insert(values.end(), {0.0f, -INFINITY});
  DeviceBuffer<float> x(values), y(values.size());
  powers_of_two(x.data(), int(values.size()), y.data(), test_stream());
  const std::vector<float> got = y.read();
  for (size_t i = 0; i < values.size(); ++i) {
    const double exact = std::exp2(double(values[i]));
    EXPECT_NEAR(got[i], exact, 2 * 0x1p-23 * exact) << "2^" << values[i];
  }
}

// c [M, N] of a [M, K] and b(k, n).
template <class F>
std::vector<float> product_of(const std::vector<float>& a, F&& b, int M, int N, int K) {
  std::vector<float> c(size_t(M * N));
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n)
      for (int k = 0; k < K; ++k) c[size_t(m * N + n)] += a[size_t(m * K + k)] * b(k, n);
  return c;
}

// The registers are filled by plain loads here, by ldmatrix in the next test: that both give the
// loops' product says that the fragments of both are the same.
TEST(Kernels, TensorCoresMultiply) {
  const int M = 32, N = 24, K = 48;
  const std::vector<float> a = integers(M * K, 5), b = integers(N * K, 6);
  const std::vector<float> expected = product_of(
      a, [&](int k, int n) { return b[size_t(n * K + k)]; }, M, N, K);
  DeviceBuffer<bfloat16> device_a(in_bf16(a)), device_b(in_bf16(b));
  on_every_schedule([&] {
    DeviceBuffer<float> c(M * N);
    product(device_a.data(), device_b.data(), c.data(), M, N, K, test_stream());
    EXPECT_EQ(c.read(), expected);
  });
}

TEST(Kernels, TensorCoresMultiplySignedBytes) {
  const int M = 32, N = 24, K = 96;
  std::mt19937 random(9);
  std::vector<int8_t> a(M * K), b(N * K);
  for (auto* values : {&a, &b})
    for (int8_t& value : *values) value = int8_t(random() % 256);
  std::fill_n(a.begin(), K, int8_t(-128));
  std::fill_n(b.begin(), K, int8_t(-128));  // the largest sum
  std::vector<int32_t> expected(M * N);
  for (int m = 0; m < M; ++m)
    for (int n = 0; n < N; ++n)
      for (int k = 0; k < K; ++k)
        expected[size_t(m * N + n)] += a[size_t(m * K + k)] * b[size_t(n * K + k)];
  DeviceBuffer<int8_t> device_a(a), device_b(b);
  on_every_schedule([&] {
    DeviceBuffer<int32_t> c(M * N);
    integer_product(device_a.data(), device_b.data(), c.data(), M, N, K, test_stream());
    EXPECT_EQ(c.read(), expected);
  });
}

TEST(Kernels, ABufferIsFilledWhileTheOtherIsMultiplied) {
  const int M = 64, N = 32;
  for (int K : {16, 32, 80}) {
    const std::vector<float> a = integers(size_t(M * K), 7), b = integers(size_t(N * K), 8);
    const std::vector<float> expected = product_of(
        a, [&](int k, int n) { return b[size_t(k * N + n)]; }, M, N, K);
    DeviceBuffer<bfloat16> device_a(in_bf16(a)), device_b(in_bf16(b));
    on_every_schedule([&] {
      DeviceBuffer<float> c(M * N);
      buffered_product(device_a.data(), device_b.data(), c.data(), M, N, K, Fault::none,
                       test_stream());
      EXPECT_EQ(c.read(), expected) << K;
    });
  }
}

}  // namespace
}  // namespace folio
