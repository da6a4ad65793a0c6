#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "core/parallel.h"
#include "tests/core/arrays.h"
#include "tests/device.h"

namespace folio {
namespace {

using Matrix = std::vector<double>;

Matrix random_matrix(int64_t size, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  Matrix values(static_cast<size_t>(size));
  for (double& value : values) value = double(float(bfloat16(float(normal(generator)))));
  return values;  // exact in every dtype
}

// [m, k] times [k, n]
Matrix product(const Matrix& a, const Matrix& b, int64_t m, int64_t n, int64_t k, bool a_transposed,
               bool b_transposed) {
  Matrix c(size_t(m * n));
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < k; ++l)
        sum += a[size_t(a_transposed ? l * m + i : i * k + l)] *
               b[size_t(b_transposed ? j * k + l : l * n + j)];
      c[size_t(i * n + j)] = sum;
    }
  return c;
}

double gelu(double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }
double gelu_new(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}
double act(Unary op, double x) {
  return op == gelu_erf_op ? gelu(x) : op == gelu_tanh_op ? gelu_new(x) : x;
}
double slope(Unary op, double x) {
  double h = 1e-5;
  return op == Unary::none ? 1 : (act(op, x + h) - act(op, x - h)) / (2 * h);
}

// `scale`: the size of the terms that were summed. Two roundings to bf16: cuBLASLt may round a sum
// before it adds the bias.
void expect_near(const Matrix& got, const Matrix& want, DType dtype, double scale) {
  ASSERT_EQ(got.size(), want.size());
  double unit = dtype == DType::f64 ? 1e-9 : dtype == DType::f32 ? 3e-6 : 0x1p-7;
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], unit * (scale + std::abs(want[i]))) << "element " << i;
}

struct Case {
  int64_t m, k, n;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.m << "x" << c.k << "x" << c.n; }

class Linear : public testing::TestWithParam<std::tuple<Case, DType>> {
 protected:
  Case shape = std::get<0>(GetParam());
  DType dtype = std::get<1>(GetParam());
  DType sums = dtype == DType::f64 ? DType::f64 : DType::f32;
  Matrix x = random_matrix(shape.m * shape.k, 1), w = random_matrix(shape.n * shape.k, 2),
         bias = random_matrix(shape.n, 3), dy = random_matrix(shape.m * shape.n, 4);
  double scale = std::sqrt(double(shape.k));
  Array X = array_of(x, {shape.m, shape.k}, dtype), DY = array_of(dy, {shape.m, shape.n}, dtype);
};

TEST_P(Linear, ForwardMatchesTripleLoop) {
  auto [m, k, n] = shape;
  Matrix plain = product(x, w, m, n, k, false, true), sum = plain;
  for (int64_t i = 0; i < m * n; ++i) sum[size_t(i)] += bias[size_t(i % n)];
  with_and_without_tiles([&] {
    for (DType weight : {dtype, sums})
      for (Unary op : {Unary::none, gelu_erf_op, gelu_tanh_op}) {
        Array W = array_of(w, {n, k}, weight), pre;
        Array y = test_backend()->products.linear(X, W, array_of(bias, {n}, sums), op, &pre);
        Matrix want = sum;
        for (double& value : want) value = act(op, value);
        EXPECT_EQ(y.shape(), (Shape{m, n}));
        EXPECT_EQ(y.dtype(), dtype);
        expect_near(values_of(y), want, dtype, scale);
        if (op != Unary::none) expect_near(values_of(pre), sum, dtype, scale);
        expect_near(values_of(test_backend()->products.linear(X, W, {}, Unary::none)), plain, dtype,
                    scale);
      }
  });
}

TEST_P(Linear, GradientsMatchTripleLoop) {
  auto [m, k, n] = shape;
  Matrix before = random_matrix(m * k, 5), plain = product(dy, w, m, k, n, false, false);
  Array W = array_of(w, {n, k}, dtype), pre = array_of(before, {m, k}, dtype);
  with_and_without_tiles([&] {
    for (Unary op : {Unary::none, gelu_erf_op, gelu_tanh_op}) {
      Matrix want = plain, acted = before;
      for (size_t i = 0; i < want.size(); ++i) want[i] *= slope(op, before[i]);
      for (double& value : acted) value = act(op, value);
      Array post;
      Array dx = test_backend()->products.linear_grad_x(DY, W, op, pre, &post);
      // finite differences of the slope are good to about 1e-9
      expect_near(values_of(dx), want, dtype, std::sqrt(double(n)) * (op == Unary::none ? 1 : 10));
      if (op != Unary::none) expect_near(values_of(post), acted, dtype, 1);
    }
    Array dw, db;
    Matrix want_dw = product(dy, x, n, k, m, true, false);
    Matrix want_db = product(Matrix(size_t(m), 1.0), dy, 1, n, m, false, false);
    for (double times : {1, 2}) {  // made first, then added to
      test_backend()->products.linear_grad_w(DY, X, dw, &db);
      EXPECT_EQ(dw.dtype(), sums);
      expect_near(values_of(dw), multiplied(want_dw, times), sums,
                  4 * times * std::sqrt(double(m)));
      expect_near(values_of(db), multiplied(want_db, times), sums,
                  4 * times * std::sqrt(double(m)));
    }
  });
}

TEST_P(Linear, BitsDoNotDependOnThreads) {
  auto [m, k, n] = shape;
  Array W = array_of(w, {n, k}, dtype), pre = array_of(x, {m, k}, dtype);
  auto all = [&] {
    std::vector<Matrix> results;
    Array kept, post, dw, db;
    test_backend()->products.linear_grad_w(DY, X, dw, &db);
    for (const Array& array :
         {test_backend()->products.linear(X, W, array_of(bias, {n}, sums), gelu_erf_op, &kept),
          kept, test_backend()->products.linear_grad_x(DY, W, gelu_erf_op, pre, &post), post, dw,
          db})
      if (array.defined()) results.push_back(values_of(array));
    return results;
  };
  with_and_without_tiles([&] {
    set_parallel_threads(1);
    auto one = all();
    for (int threads : {2, 3, 4}) {
      set_parallel_threads(threads);
      EXPECT_EQ(all(), one) << threads << " threads";
    }
    set_parallel_threads(0);
  });
}

// More than 16 threads cut products finer, which may sum in another order; how many more there are
// does not matter.
TEST(LinearOnManyThreads, BitsAreThoseOfAnyNumber) {
  if (!test_device_is_cpu()) GTEST_SKIP() << "of the CPU's threads";
  const int64_t m = 300, k = 700, n = 1000;
  const Matrix x = random_matrix(m * k, 1), w = random_matrix(n * k, 2),
               dy = random_matrix(m * n, 3);
  const Matrix exact = product(x, w, m, n, k, false, true);
  for (DType dtype : {DType::f32, DType::bf16}) {
    const Array X = array_of(x, {m, k}, dtype), W = array_of(w, {n, k}, dtype),
                DY = array_of(dy, {m, n}, dtype);
    auto all = [&](int threads) {
      set_parallel_threads(threads);
      Array dw;
      test_backend()->products.linear_grad_w(DY, X, dw, nullptr);
      return std::vector{values_of(test_backend()->products.linear(X, W, {}, Unary::none)),
                         values_of(test_backend()->products.linear_grad_x(DY, W, Unary::none, {})),
                         values_of(dw)};
    };
    const auto many = all(17);
    EXPECT_EQ(all(32), many);
    EXPECT_EQ(all(64), many);
    expect_near(many[0], exact, dtype, std::sqrt(double(k)));
  }
  set_parallel_threads(0);
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Linear,
    testing::Combine(testing::Values(Case{1, 1, 1}, Case{1, 384, 65}, Case{2, 7, 3},
                                     Case{5, 33, 17}, Case{16, 48, 100}, Case{17, 128, 512},
                                     Case{768, 40, 65}, Case{300, 37, 131}, Case{4099, 33, 21},
                                     Case{2100, 24, 40}, Case{3, 20, 3100}, Case{64, 96, 160},
                                     Case{40, 2500, 70}),
                     testing::Values(DType::f32, DType::bf16, DType::f64)));

}  // namespace
}  // namespace folio
