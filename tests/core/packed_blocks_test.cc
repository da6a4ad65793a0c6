// int8 and int4 weights and what multiplies by them, in integers that the tests work out
// themselves.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "tests/core/arrays.h"

namespace folio {
namespace {

constexpr WeightFormat quantised[] = {WeightFormat::int8, WeightFormat::int4};

// Files are made on one device and read on another. Blocks of ties, of zeros, of numbers that count
// as zeros, of one size, and with all of the range of f32.
TEST(PackedBlocks, AreTheCpusBytesOnEveryDevice) {
  constexpr int64_t N = 70, K = 300;
  std::vector<double> values = normal_values(N * K, 1);
  for (int64_t n = 0; n < N; ++n)
    for (int64_t k = 0; k < K; ++k) {
      double& value = values[size_t(n * K + k)];
      switch ((n + k / 32) % 8) {
        case 1:
          value = double(int(value * 64)) / 2;
          if (k % 32 == 0) value = n % 2 ? 127 : -127;
          break;
        case 2:
          value = 0;
          break;
        case 3:
          value *= 1e-16;
          break;
        case 4:
          value = value < 0 ? -3 : 3;
          break;
        case 5:
          value *= std::pow(2, double(k % 32) * 4 - 50);
          break;
      }
    }
  const std::vector<float> w(values.begin(), values.end());
  for (const WeightFormat format : quantised) {
    const Array expected = backend(cpu)->packed.pack(to_array(w, {N, K}, cpu), format).data;
    const Array got = test_backend()->packed.pack(to_array(w, {N, K}), format).data;
    EXPECT_EQ(bytes_of(got), bytes_of(expected)) << name_of(format);
  }
}

constexpr int64_t N = 70, K = 300;
constexpr int int4_values[] = {-127, -100, -79, -62, -47, -34, -21, -9,
                               2,    13,   25,  36,  50,  65,  83,  107};

// Weights of every value, with scales that are powers of two: w[n][k] = scale(n, block) value(n,
// k).
struct IntegerWeights {
  explicit IntegerWeights(WeightFormat format) : format(format) {
    std::mt19937 random(3);
    for (int& one : u) one = int(random() % (format == WeightFormat::int8 ? 256 : 16));
  }
  int value(int64_t n, int64_t k) const {
    const int one = u[size_t(n * K + k)];
    return format == WeightFormat::int8 ? one - 128 : int4_values[one];
  }
  static int scale(int64_t n, int64_t block) { return 1 << (n + block) % 2; }

  PackedWeight packed() const {
    const int64_t weights = format == WeightFormat::int8 ? 1024 : 512, record = weights + 64;
    std::vector<int8_t> bytes(size_t(3 * 10 * record));
    for (int64_t n = 0; n < N; ++n)
      for (int64_t k = 0; k < K; ++k) {
        const int64_t at = (n / 32 * 10 + k / 32) * record, r = n % 32, i = k % 32;
        const int one = u[size_t(n * K + k)];
        const bfloat16 s(float(scale(n, k / 32)));
        bytes[size_t(at + weights + 2 * r)] = int8_t(s.bits & 255);
        bytes[size_t(at + weights + 2 * r + 1)] = int8_t(s.bits >> 8);
        if (format == WeightFormat::int8) {
          bytes[size_t(at + i / 4 * 128 + r * 4 + i % 4)] = int8_t(one);
        } else {
          int8_t& two = bytes[size_t(at + i / 8 * 128 + r * 4 + i % 4)];
          two = int8_t(two | one << (i % 8 < 4 ? 0 : 4));
        }
      }
    return test_backend()->packed.from_data(to_array(bytes, {3, 10, record}), N, K, format);
  }

  WeightFormat format;
  std::vector<int> u = std::vector<int>(size_t(N * K));
};

// x whose blocks have 127 times a power of two as the largest magnitude quantise to themselves, so
// every product and sum is an integer below 2^24: a device that takes another integer anywhere, or
// multiplies by another block's scale, gives another result.
TEST(PackedBlocks, MultiplyIntegersExactly) {
  on_every_path([] {
    for (const int64_t M : {1, 9, 33, 70}) {
      std::mt19937 random(4);
      std::vector<double> x(size_t(M * K));
      for (int64_t m = 0; m < M; ++m)
        for (int64_t k = 0; k < K; ++k) {
          const int q =
              k % 32 == (m + k / 32) % 12 ? (m % 2 ? 127 : -127) : int(random() % 255) - 127;
          x[size_t(m * K + k)] = double(q << (m + k / 32) % 2);
        }
      for (const WeightFormat format : quantised) {
        const IntegerWeights w(format);
        const PackedWeight packed = w.packed();
        std::vector<double> expected(size_t(M * N));
        for (int64_t m = 0; m < M; ++m)
          for (int64_t n = 0; n < N; ++n)
            for (int64_t k = 0; k < K; ++k)
              expected[size_t(m * N + n)] +=
                  x[size_t(m * K + k)] * w.scale(n, k / 32) * w.value(n, k);
        for (const DType dtype : {DType::f32, DType::bf16}) {
          const Array y = test_backend()->packed.linear(array_of(x, {M, K}, dtype), packed, {});
          EXPECT_EQ(bytes_of(y), bytes_of(array_of(expected, {M, N}, dtype)))
              << name_of(format) << ", " << M << " rows in " << fmt::format("{}", dtype);
        }
      }
    }
  });
}

// What is not finite in one row of x shows in that row of y, and nowhere else.
TEST(PackedBlocks, RowsThatAreNotFiniteAreSeen) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<double> x = normal_values(3 * K, 5);
    x[size_t(K + 77)] = bad;
    for (const WeightFormat format : quantised) {
      const auto y = values_of(test_backend()->packed.linear(array_of(x, {3, K}, DType::f32),
                                                             IntegerWeights(format).packed(), {}));
      for (size_t i = 0; i < y.size(); ++i)
        ASSERT_EQ(std::isfinite(y[i]), i / size_t(N) != 1) << name_of(format) << ' ' << i;
    }
  }
}

TEST(PackedBlocks, ScalesThatAreNotFiniteAreFound) {
  for (const WeightFormat format : quantised) {
    std::vector<double> w = normal_values(N * K, 6);
    const auto all_finite = [&] {
      const PackedWeight packed =
          test_backend()->packed.pack(array_of(w, {N, K}, DType::f32), format);
      return test_backend()->reductions.all_finite(packed);
    };
    EXPECT_TRUE(all_finite());
    w[size_t(69 * K + 299)] = std::numeric_limits<double>::infinity();
    EXPECT_FALSE(all_finite());
  }
}

}  // namespace
}  // namespace folio
