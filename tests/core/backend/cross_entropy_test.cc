#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "core/parallel.h"
#include "tests/core/arrays.h"
#include "tests/device.h"

namespace folio {
namespace {

using Matrix = std::vector<double>;

struct Case {
  int64_t m, C, V;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.m << "x" << c.C << "x" << c.V; }

// Multiples of 1/8, so exact in every dtype.
Matrix random_matrix(int64_t size, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int> eighths(-8, 8);
  Matrix values(static_cast<size_t>(size));
  for (double& value : values) value = eighths(generator) / 8.0;
  return values;
}

// Every third one is ignored; the first and the last id occur.
std::vector<int32_t> some_targets(int64_t m, int64_t V) {
  std::vector<int32_t> targets;
  for (int64_t i = 0; i < m; ++i)
    targets.push_back(i % 3 == 2 ? -1 : int32_t(i == 0 ? V - 1 : i * 7919 % V));
  return targets;
}

struct Reference {
  double loss = 0;
  Matrix dx, dw;
};
Reference reference(const Matrix& x, const Matrix& w, const std::vector<int32_t>& targets, Case c) {
  Reference r{0, Matrix(x.size()), Matrix(w.size())};
  double count = 0;
  for (int32_t target : targets) count += target >= 0;
  Matrix p(static_cast<size_t>(c.V));
  for (int64_t i = 0; i < c.m; ++i) {
    int32_t target = targets[size_t(i)];
    if (target < 0) continue;
    double sum = 0;
    for (int64_t v = 0; v < c.V; ++v) {
      double logit = 0;
      for (int64_t j = 0; j < c.C; ++j) logit += x[size_t(i * c.C + j)] * w[size_t(v * c.C + j)];
      sum += p[size_t(v)] = std::exp(logit);
    }
    r.loss -= std::log(p[size_t(target)] / sum) / count;
    for (int64_t v = 0; v < c.V; ++v) {
      double g = (p[size_t(v)] / sum - (v == target)) / count;
      for (int64_t j = 0; j < c.C; ++j) {
        r.dx[size_t(i * c.C + j)] += g * w[size_t(v * c.C + j)];
        r.dw[size_t(v * c.C + j)] += g * x[size_t(i * c.C + j)];
      }
    }
  }
  return r;
}

double largest(const Matrix& values) {
  double most = 0;
  for (double value : values) most = std::max(most, std::abs(value));
  return most;
}
void expect_near(const Matrix& got, const Matrix& want, double relative) {
  ASSERT_EQ(got.size(), want.size());
  double tolerance = relative * largest(want);
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], tolerance) << "element " << i;
}

class CrossEntropyOf : public testing::TestWithParam<std::tuple<Case, DType>> {
 protected:
  Case c = std::get<0>(GetParam());
  DType dtype = std::get<1>(GetParam());
  Matrix x = random_matrix(c.m * c.C, 1), w = random_matrix(c.V * c.C, 2);
  std::vector<int32_t> targets = some_targets(c.m, c.V);
  Array X = array_of(x, {c.m, c.C}, dtype), W = array_of(w, {c.V, c.C}, dtype),
        Y = to_array(targets, {c.m});
};

TEST_P(CrossEntropyOf, MatchesDefinition) {
  with_and_without_tiles([&] {
    CrossEntropy got = test_backend()->losses.linear_cross_entropy(X, W, Y, true);
    Reference want = reference(x, w, targets, c);
    double unit = dtype == DType::f64 ? 1e-11 : 1e-5;
    EXPECT_EQ(got.dx.dtype(), dtype);
    EXPECT_EQ(got.dw.dtype(), dtype == DType::f64 ? DType::f64 : DType::f32);
    EXPECT_NEAR(values_of(got.loss)[0], want.loss, unit * want.loss);
    expect_near(values_of(got.dx), want.dx, dtype == DType::bf16 ? 1e-2 : unit);
    expect_near(values_of(got.dw), want.dw, dtype == DType::bf16 ? 1e-2 : unit);

    CrossEntropy only_loss = test_backend()->losses.linear_cross_entropy(X, W, Y, false);
    EXPECT_EQ(values_of(only_loss.loss), values_of(got.loss));
    EXPECT_FALSE(only_loss.dx.defined() || only_loss.dw.defined());

    CrossEntropy quarter = test_backend()->losses.linear_cross_entropy(X, W, Y, true, 0.25);
    EXPECT_EQ(values_of(quarter.loss), multiplied(values_of(got.loss), 0.25));
    expect_near(values_of(quarter.dx), multiplied(values_of(got.dx), 0.25), unit);
    expect_near(values_of(quarter.dw), multiplied(values_of(got.dw), 0.25), unit);
  });
}

TEST_P(CrossEntropyOf, APackedWeightMatchesDefinition) {
  const PackedWeight packed =
      test_backend()->packed.pack(W, dtype == DType::bf16 ? WeightFormat::bf16 : WeightFormat::f32);
  const Array got = test_backend()->losses.linear_cross_entropy(X, packed, Y);
  const double want = reference(x, w, targets, c).loss;
  EXPECT_EQ(got.dtype(), dtype == DType::f64 ? DType::f64 : DType::f32);
  EXPECT_NEAR(values_of(got)[0], want, (dtype == DType::f64 ? 1e-11 : 1e-5) * want);
}

TEST_P(CrossEntropyOf, BitsDoNotDependOnThreads) {
  with_and_without_tiles([&] {
    auto all = [&](int threads) {
      set_parallel_threads(threads);
      CrossEntropy got = test_backend()->losses.linear_cross_entropy(X, W, Y, true);
      return std::vector{values_of(got.loss), values_of(got.dx), values_of(got.dw)};
    };
    auto one = all(1);
    for (int threads : {2, 3}) EXPECT_EQ(all(threads), one) << threads << " threads";
    set_parallel_threads(0);
  });
}

// 400 x 50257 logits are more than one chunk holds.
INSTANTIATE_TEST_SUITE_P(Shapes, CrossEntropyOf,
                         testing::Combine(testing::Values(Case{1, 5, 3}, Case{17, 33, 65},
                                                          Case{768, 24, 65}, Case{40, 9, 5003}),
                                          testing::Values(DType::f32, DType::bf16, DType::f64)));
INSTANTIATE_TEST_SUITE_P(Chunks, CrossEntropyOf,
                         testing::Combine(testing::Values(Case{400, 3, 50257}),
                                          testing::Values(DType::f32, DType::bf16)));

TEST(LinearCrossEntropy, GradientsMatchFiniteDifferences) {
  Case c{4, 5, 7};
  Matrix x = random_matrix(c.m * c.C, 3), w = random_matrix(c.V * c.C, 4);
  Array Y = to_array(some_targets(c.m, c.V), {2, 2});
  auto run = [&](bool with_grad) {
    return test_backend()->losses.linear_cross_entropy(to_array(x, {2, 2, c.C}),
                                                       to_array(w, {c.V, c.C}), Y, with_grad);
  };
  CrossEntropy exact = run(true);
  EXPECT_EQ(exact.dx.shape(), (Shape{2, 2, c.C}));
  auto compare = [&](Matrix& at, const Matrix& gradient) {
    for (size_t i = 0; i < at.size(); ++i) {
      double before = at[i], h = 1e-5;
      at[i] = before + h;
      double above = to_vector<double>(run(false).loss)[0];
      at[i] = before - h;
      double below = to_vector<double>(run(false).loss)[0];
      at[i] = before;
      EXPECT_NEAR(gradient[i], (above - below) / (2 * h), 1e-9) << "element " << i;
    }
  };
  compare(x, to_vector<double>(exact.dx));
  compare(w, to_vector<double>(exact.dw));
}

TEST(LinearCrossEntropy, LargeLogitsDoNotOverflow) {
  Array x = to_array(std::vector<float>{1000, 0}, {1, 2}),
        w = to_array(std::vector<float>{1, 0, -1, 0}, {2, 2});
  CrossEntropy got = test_backend()->losses.linear_cross_entropy(
      x, w, to_array(std::vector<int32_t>{1}, {1}), true);
  EXPECT_EQ(to_vector<float>(got.loss)[0], 2000.0f);
  EXPECT_THAT(to_vector<float>(got.dx), testing::ElementsAre(2, 0));
}

}  // namespace
}  // namespace folio
