#include <cmath>
#include <limits>

#include "tests/core/arrays.h"
#include "tests/device.h"

namespace folio {
namespace {

double iterated(double x) {
  for (int i = 0; i < NewtonSchulz::steps; ++i)
    x = double(NewtonSchulz::a) * x + double(NewtonSchulz::b) * std::pow(x, 3) +
        double(NewtonSchulz::c) * std::pow(x, 5);
  return x;
}

MuonSlot slot_of(const std::vector<double>& grad, int64_t rows, int64_t cols) {
  return {.param = zeros({rows, cols}, DType::f32, test_device()),
          .grad = array_of(grad, {rows, cols}, DType::f32),
          .momentum = zeros({rows, cols}, DType::f32, test_device()),
          .rows = {rows}};
}

// What Muon subtracts for that gradient, over the factor of the matrix's shape.
std::vector<double> orthogonalized(const std::vector<double>& grad, int64_t rows, int64_t cols,
                                   DType products = DType::f32) {
  MuonSlot slot = slot_of(grad, rows, cols);
  test_backend()->optimizer.muon(std::vector{slot},
                                 {.learning_rate = 1, .products = products, .grad_scale = {}});
  const double shape = std::sqrt(std::max(1.0, double(rows) / double(cols)));
  return multiplied(values_of(slot.param), -1 / shape);
}

// The iteration works on singular values one by one: those of a diagonal matrix are its own.
TEST(Muon, SingularValuesGoThroughThePolynomial) {
  on_every_target([] {
    for (auto [rows, cols] : {std::pair<int64_t, int64_t>{7, 7}, {5, 20}, {20, 5}}) {
      const int64_t n = std::min(rows, cols);
      std::vector<double> grad(size_t(rows * cols)), expected(grad.size());
      double squares = 0;
      for (int64_t i = 0; i < n; ++i) squares += double((i + 1) * (i + 1));
      for (int64_t i = 0; i < n; ++i) {
        grad[size_t(i * cols + i)] = double(i + 1);
        expected[size_t(i * cols + i)] = iterated(double(i + 1) / std::sqrt(squares));
      }
      const std::vector<double> got = orthogonalized(grad, rows, cols);
      for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], expected[i], 1e-5) << i;
    }
  });
}

// x [rows, cols]
std::vector<double> transposed(const std::vector<double>& x, int64_t rows, int64_t cols) {
  std::vector<double> y(x.size());
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) y[size_t(j * rows + i)] = x[size_t(i * cols + j)];
  return y;
}

// x x^T of x [n, k]
std::vector<double> gram_of(const std::vector<double>& x, int64_t n) {
  const int64_t k = int64_t(x.size()) / n;
  std::vector<double> gram(size_t(n * n));
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < n; ++j)
      for (int64_t l = 0; l < k; ++l)
        gram[size_t(i * n + j)] += x[size_t(i * k + l)] * x[size_t(j * k + l)];
  return gram;
}

// The eigenvalues of a symmetric [n, n], by Jacobi's rotations.
std::vector<double> eigenvalues(std::vector<double> a, int64_t n) {
  auto at = [&](int64_t i, int64_t j) -> double& { return a[size_t(i * n + j)]; };
  for (int sweep = 0; sweep < 30; ++sweep) {
    for (int64_t p = 0; p < n; ++p) {
      for (int64_t q = p + 1; q < n; ++q) {
        if (std::abs(at(p, q)) < 1e-14) continue;
        const double theta = 0.5 * std::atan2(2 * at(p, q), at(q, q) - at(p, p));
        const double c = std::cos(theta), s = std::sin(theta);
        for (int64_t k = 0; k < n; ++k) {
          const double x = at(k, p), y = at(k, q);
          at(k, p) = c * x - s * y, at(k, q) = s * x + c * y;
        }
        for (int64_t k = 0; k < n; ++k) {
          const double x = at(p, k), y = at(q, k);
          at(p, k) = c * x - s * y, at(q, k) = s * x + c * y;
        }
      }
    }
  }
  std::vector<double> values;
  for (int64_t i = 0; i < n; ++i) values.push_back(at(i, i));
  return values;
}

// 0.68 to 1.21 is what the polynomial makes of everything from 0.002 to 1; panels of 64 rows and
// what is left of them.
const std::pair<int64_t, int64_t> random_shapes[] = {
    {24, 40}, {40, 24}, {70, 150}, {150, 70}, {33, 100}};

TEST(Muon, ARandomMatrixGetsSingularValuesInTheBand) {
  for (auto [rows, cols] : random_shapes) {
    const int64_t n = std::min(rows, cols);
    const std::vector<double> x = orthogonalized(normal_values(rows * cols, 3), rows, cols);
    for (double square : eigenvalues(gram_of(rows <= cols ? x : transposed(x, rows, cols), n), n)) {
      EXPECT_GT(std::sqrt(square), 0.68 - 1e-4) << rows << " x " << cols;
      EXPECT_LT(std::sqrt(square), 1.21 + 1e-4) << rows << " x " << cols;
    }
  }
}

// The iteration in f64 on x [n, k], n <= k; with `round`, each matrix is rounded to bf16 as soon as
// it is formed.
std::vector<double> newton_schulz(std::vector<double> x, int64_t n, bool round) {
  auto formed = [&](std::vector<double> values) {
    if (round)
      for (double& value : values) value = double(bfloat16(float(value)));
    return values;
  };
  double squares = 0;
  for (double value : x) squares += value * value;
  x = formed(multiplied(x, 1 / std::sqrt(squares)));
  for (int step = 0; step < NewtonSchulz::steps; ++step) {
    const std::vector<double> gram = formed(gram_of(x, n)), square = formed(gram_of(gram, n));
    std::vector<double> p(gram.size());
    for (size_t i = 0; i < p.size(); ++i)
      p[i] = double(NewtonSchulz::b) * gram[i] + double(NewtonSchulz::c) * square[i];
    for (int64_t i = 0; i < n; ++i) p[size_t(i * n + i)] += double(NewtonSchulz::a);
    p = formed(p);
    const int64_t k = int64_t(x.size()) / n;
    std::vector<double> next(x.size());
    for (int64_t i = 0; i < n; ++i)
      for (int64_t l = 0; l < n; ++l)
        for (int64_t j = 0; j < k; ++j)
          next[size_t(i * k + j)] += p[size_t(i * n + l)] * x[size_t(l * k + j)];
    x = formed(next);
  }
  return x;
}

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(squares);
}

// [rows, cols] with singular values 1, 1/4, 1/9, ..., as gradients' fall off: a diagonal matrix
// between two reflections.
std::vector<double> falling(int64_t rows, int64_t cols, uint64_t seed = 5) {
  auto direction = [](int64_t n, uint64_t seed) {
    std::vector<double> v = normal_values(n, seed);
    double squares = 0;
    for (double value : v) squares += value * value;
    return multiplied(v, std::sqrt(2 / squares));  // I - v v^T reflects
  };
  const std::vector<double> left = direction(rows, seed), right = direction(cols, seed + 1);
  std::vector<double> x(size_t(rows * cols));
  for (int64_t k = 0; k < std::min(rows, cols); ++k)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < cols; ++j)
        x[size_t(i * cols + j)] += ((i == k) - left[size_t(i)] * left[size_t(k)]) *
                                   ((j == k) - right[size_t(j)] * right[size_t(k)]) /
                                   double((k + 1) * (k + 1));
  return x;
}

// Like newton_schulz, for matrices of either form.
std::vector<double> reference(const std::vector<double>& x, int64_t rows, int64_t cols,
                              bool round) {
  if (rows <= cols) return newton_schulz(x, rows, round);
  return transposed(newton_schulz(transposed(x, rows, cols), cols, round), cols, rows);
}

TEST(Muon, SmallSingularValuesSurviveTheRoundingOfLargeOnes) {
  on_every_target([] {
    for (auto [rows, cols] : random_shapes) {
      const std::vector<double> grad = falling(rows, cols);
      const std::vector<double> expected = reference(grad, rows, cols, false);
      const std::vector<double> got = orthogonalized(grad, rows, cols);
      for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], expected[i], 2e-5) << i;
    }
  });
}

// On average as near to the iteration in f64 as where every matrix is rounded that the iteration
// forms on its way. Steps that carry a rounded Gram matrix too far are off by more than twice that
// where singular values fall off.
TEST(Muon, ProductsInBf16AreThoseOfRoundedOperands) {
  for (auto [rows, cols] : random_shapes) {
    for (const bool random : {true, false}) {
      double off = 0, rounding = 0;
      for (uint64_t seed = 3; seed < 83; seed += 10) {
        const std::vector<double> grad =
            random ? normal_values(rows * cols, seed) : falling(rows, cols, seed);
        const std::vector<double> exact = reference(grad, rows, cols, false);
        rounding += distance(reference(grad, rows, cols, true), exact);
        off += distance(orthogonalized(grad, rows, cols, DType::bf16), exact);
      }
      EXPECT_LT(off, 1.25 * rounding) << rows << " x " << cols << (random ? "" : ", falling");
    }
  }
}

// Maps in one parameter are as if each were a parameter of its own.
TEST(Muon, EachMapInAParameterIsByItself) {
  const std::vector<double> grad = normal_values(3 * 16 * 24, 5);
  MuonSlot together = slot_of(grad, 48, 24);
  together.rows = {24, 8, 16};
  test_backend()->optimizer.muon(std::vector{together}, {.learning_rate = 1, .grad_scale = {}});
  int64_t first = 0;
  for (int64_t rows : together.rows) {
    const auto begin = grad.begin() + first * 24;
    MuonSlot alone = slot_of({begin, begin + rows * 24}, rows, 24);
    test_backend()->optimizer.muon(std::vector{alone}, {.learning_rate = 1, .grad_scale = {}});
    EXPECT_EQ(values_of(alone.param), values_of(together.param.slice(first, first + rows)));
    first += rows;
  }
}

// A launch of CUDA's takes 256.
void expect_near(const std::vector<double>& got, const std::vector<double>& want, int64_t map) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-5) << map << ", " << i;
}

TEST(Muon, ThereMayBeManyMatrices) {
  MuonSlot many = slot_of(normal_values(600 * 3, 5), 600, 3);
  many.rows.assign(300, 2);
  test_backend()->optimizer.muon(std::vector{many}, {.learning_rate = 1, .grad_scale = {}});
  for (int64_t map : {0, 255, 256, 299}) {
    const std::vector<double> grad = values_of(many.grad.slice(2 * map, 2 * map + 2));
    MuonSlot alone = slot_of(grad, 2, 3);
    test_backend()->optimizer.muon(std::vector{alone}, {.learning_rate = 1, .grad_scale = {}});
    // A library may sum in another order where it multiplies many.
    expect_near(values_of(alone.param), values_of(many.param.slice(2 * map, 2 * map + 2)), map);
  }
}

TEST(Muon, WritesTheRoundedValuesToo) {
  MuonSlot slot = slot_of(normal_values(12 * 20, 7), 12, 20);
  slot.rounded = zeros(slot.param.shape(), DType::bf16, test_device());
  test_backend()->optimizer.muon(std::vector{slot}, {.learning_rate = 0.1, .grad_scale = {}});
  EXPECT_EQ(values_of(slot.rounded),
            values_of(backend(slot.param)->elementwise.cast(slot.param, DType::bf16)));
}

TEST(Muon, ChangesNothingUnlessTheFiguresAreFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (float figure : {1.0f, nan}) {
    MuonSlot slot = slot_of(normal_values(6, 1), 2, 3);
    slot.rounded = zeros({2, 3}, DType::bf16, test_device());
    Array average = zeros({2, 3}, DType::f32, test_device());
    const std::vector<Array> figures{to_array(std::vector<float>{0, figure}, {2})};
    test_backend()->optimizer.muon(
        std::vector{slot}, {.learning_rate = 0.1, .grad_scale = {}, .only_if_finite = figures});
    test_backend()->optimizer.average(std::vector{AverageSlot{average, slot.grad}}, 0.5, figures);
    for (const Array& array : {slot.param, slot.momentum, slot.rounded, average})
      EXPECT_EQ(values_of(array) != std::vector<double>(6, 0), figure == 1.0f);
  }
}

TEST(Average, MovesByTheRestOfItsDecay) {
  on_every_target([] {
    Array a = array_of(normal_values(1003, 1), {1003}, DType::f32);
    Array b = array_of({1, 2}, {2}, DType::f32), of_b = array_of({3, 4}, {2}, DType::f32);
    const std::vector<double> before = values_of(a);
    const Array of_a = array_of(normal_values(1003, 2), {1003}, DType::f32);
    test_backend()->optimizer.average(std::vector{AverageSlot{a, of_a}, AverageSlot{b, of_b}}, 0.75,
                                      {});
    EXPECT_EQ(values_of(b), (std::vector<double>{1.5, 2.5}));
    std::vector<double> expected;
    for (size_t i = 0; i < before.size(); ++i)
      expected.push_back(0.75 * before[i] + 0.25 * values_of(of_a)[i]);
    expect_near(a, expected, epsilon_of(DType::f32));
  });
}

TEST(Muon, SameBitsForAnyThreads) {
  expect_same_for_any_threads([] {
    std::vector<MuonSlot> slots;
    std::vector<Array> out;
    for (unsigned i = 1; i <= 5; ++i) {
      slots.push_back(slot_of(normal_values(96 * 32, i), 96, 32));
      slots.back().rows = {32, 32, 32};
      out.push_back(slots.back().param);
    }
    test_backend()->optimizer.muon(slots, {.learning_rate = 0.1, .grad_scale = {}});
    return out;
  });
}

}  // namespace
}  // namespace folio
