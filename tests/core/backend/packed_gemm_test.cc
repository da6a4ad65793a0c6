#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/parallel.h"
#include "tests/core/arrays.h"
#include "tests/device.h"

namespace folio {
namespace {

template <class T>
Array random_array(Shape shape, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<T> values(size_t(shape.size()));
  for (T& value : values) value = T(float(normal(random)));
  return to_array<T>(values, shape);
}

struct Expected {
  double value;
  double magnitude;  // |bias| + sum |x| |w|: what rounding errors are proportional to
};

// act(x w^T + bias) in f64.
std::vector<Expected> expected(const Array& x, const Array& w, const Array& bias, Unary act) {
  const auto to_f64 = [](const Array& a) {
    return to_vector<double>(backend(a)->elementwise.cast(a, DType::f64));
  };
  const int64_t M = x.rows(), K = x.dim(-1), N = w.dim(0);
  const auto xs = to_f64(x), ws = to_f64(w);
  const auto bs = bias.defined() ? to_f64(bias) : std::vector<double>(size_t(N), 0.0);
  std::vector<Expected> y;
  for (int64_t i = 0; i < M; ++i) {
    for (int64_t j = 0; j < N; ++j) {
      double sum = bs[size_t(j)], magnitude = std::abs(sum);
      for (int64_t k = 0; k < K; ++k) {
        const double product = xs[size_t(i * K + k)] * ws[size_t(j * K + k)];
        sum += product;
        magnitude += std::abs(product);
      }
      if (act != Unary::none) visit_unary(act, [&](auto op) { sum = op.value(sum); });
      y.push_back({sum, magnitude});
    }
  }
  return y;
}

// A chain of K multiply-adds is off by at most about K roundings of its magnitude; the
// activation adds a few more, and steepens them by at most 1.13.
template <class T, class W>
void compare(int64_t M, int64_t N, int64_t K, Unary act, const Array& bias) {
  const Array x = random_array<T>({M, K}, 1), w = random_array<W>({N, K}, 2);
  const Array y = test_backend()->packed.linear(
      x, test_backend()->packed.pack(w, WeightFormat::f32), bias, act);
  ASSERT_EQ(y.shape(), Shape({M, N}));
  ASSERT_EQ(y.dtype(), dtype_of<T>);
  const auto want = expected(x, w, bias, act);
  const auto got = to_vector<double>(test_backend()->elementwise.cast(y, DType::f64));
  const double unit = std::numeric_limits<W>::epsilon() / 2;
  const double narrowing = sizeof(T) == 2 ? 1.0 / 256 : 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double bound = double(K + 8) * 1.13 * unit * want[i].magnitude;
    ASSERT_NEAR(got[i], want[i].value, bound + narrowing * std::abs(want[i].value))
        << M << " x " << N << " x " << K << ", element " << i;
  }
}

TEST(PackedGemm, MatchesATripleLoop) {
  on_every_target([] {
    for (const int64_t M : {1, 5, 15, 33, 70}) {
      for (const int64_t N : {1, 16, 65, 100}) {
        for (const int64_t K : {1, 7, 256, 300}) {
          const Array bias = random_array<float>({N}, 3);
          compare<float, float>(M, N, K, Unary::none, {});
          compare<float, float>(M, N, K, gelu_erf_op, bias);
          compare<bfloat16, float>(M, N, K, gelu_tanh_op, random_array<bfloat16>({N}, 3));
          compare<bfloat16, float>(M, N, K, Unary::none, bias);
          compare<double, double>(M, N, K, gelu_tanh_op, random_array<double>({N}, 3));
        }
      }
    }
  });
}

// The bits of each row alone, then of the same rows in batches of every size.
template <class T, class W>
void expect_same_rows(int64_t N, int64_t K) {
  constexpr int64_t most = 257;
  const Array x = random_array<T>({most, K}, 1), bias = random_array<W>({N}, 3);
  const PackedWeight w = test_backend()->packed.pack(random_array<W>({N, K}, 2), WeightFormat::f32);
  const auto multiply = [&](int64_t begin, int64_t end) {
    const Array y = test_backend()->packed.linear(x.slice(begin, end), w, bias, gelu_erf_op);
    std::vector<std::byte> bytes(y.bytes());
    test_backend()->memory.read(y, bytes.data());
    return bytes;
  };
  set_parallel_threads(1);
  std::vector<std::byte> alone;
  for (int64_t i = 0; i < most; ++i) {
    const auto row = multiply(i, i + 1);
    alone.insert(alone.end(), row.begin(), row.end());
  }
  const auto row_bytes = int64_t(alone.size()) / most;
  const auto compare = [&](int64_t M) {
    const int64_t begin = most - M;
    const std::vector<std::byte> rows(alone.begin() + begin * row_bytes, alone.end());
    ASSERT_TRUE(multiply(begin, most) == rows)
        << M << " rows, N " << N << ", K " << K << ", " << parallel_threads() << " threads";
  };
  for (int64_t M = 1; M <= 20; ++M) compare(M);
  for (const int threads : thread_counts()) {
    set_parallel_threads(threads);
    for (const int64_t M : {1, 10, 33, 63, 64, 65, 128, 257}) compare(M);
  }
  set_parallel_threads(0);
}

TEST(PackedGemm, RowsAreTheSameBitsInAnyBatch) {
  on_every_target([] {
    // A GPU's kernels have one tile, and the emulated one takes its time.
    using Sizes = std::vector<int64_t>;
    const bool all = test_device_is_cpu();
    for (const int64_t N : all ? Sizes{1, 15, 16, 65, 100, 384} : Sizes{1, 65}) {
      for (const int64_t K : all ? Sizes{1, 7, 64, 384, 1000} : Sizes{7, 384}) {
        expect_same_rows<float, float>(N, K);
        if (testing::Test::HasFailure()) return;
      }
    }
    expect_same_rows<bfloat16, float>(100, 384);
    expect_same_rows<double, double>(65, 300);
  });
}

TEST(PackedGemm, KeepsLeadingDimensionsAndNoRows) {
  const PackedWeight w =
      test_backend()->packed.pack(random_array<float>({5, 3}, 1), WeightFormat::f32);
  EXPECT_EQ(test_backend()->packed.linear(random_array<float>({2, 4, 3}, 2), w, {}).shape(),
            Shape({2, 4, 5}));
  EXPECT_EQ(test_backend()->packed.linear(Array({0, 3}, DType::f32, test_device()), w, {}).shape(),
            Shape({0, 5}));
}

TEST(PackedGemm, NamesWhatDoesNotFit) {
  const PackedWeight w =
      test_backend()->packed.pack(random_array<float>({5, 3}, 1), WeightFormat::f32);
  const auto message = [&](auto&& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message([&] {
              test_backend()->packed.linear(random_array<float>({2, 4}, 2), w, {});
            }),
            "linear_packed: x [2, 4] does not fit a packed weight [5, 3]");
  EXPECT_NE(message([&] {
              test_backend()->packed.linear(random_array<double>({2, 3}, 2), w, {});
            }),
            "");
  EXPECT_NE(message([&] {
              test_backend()->packed.pack(random_array<bfloat16>({5, 3}, 1), WeightFormat::f32);
            }),
            "");
}

}  // namespace
}  // namespace folio
