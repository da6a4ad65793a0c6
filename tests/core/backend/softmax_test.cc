#include <limits>

#include "tests/core/arrays.h"

namespace folio {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// Of each row of n.
std::vector<double> log_softmax_of(const std::vector<double>& x, int64_t n) {
  std::vector<double> y;
  for (size_t row = 0; row < x.size(); row += size_t(n)) {
    double top = -infinity, sum = 0;
    for (size_t i = row; i < row + size_t(n); ++i) top = std::max(top, x[i]);
    for (size_t i = row; i < row + size_t(n); ++i) sum += std::exp(x[i] - top);
    for (size_t i = row; i < row + size_t(n); ++i) y.push_back(x[i] - top - std::log(sum));
  }
  return y;
}

const std::vector<int64_t> lengths = {1, 2, 7, 16, 33, 1000};

TEST(Softmax, MatchesF64) {
  on_every_target([&] {
    for (DType dtype : float_dtypes) {
      for (int64_t n : lengths) {
        const Array x = array_of(normal_values(3 * n, 1, 4), {3, n}, dtype);
        std::vector<double> log_p = log_softmax_of(values_of(x), n), p;
        for (double value : log_p) p.push_back(std::exp(value));
        expect_near(backend(x)->rows.softmax(x, false), p, epsilon_of(dtype));
        expect_near(backend(x)->rows.softmax(x, true), log_p, epsilon_of(dtype));
      }
    }
  });
}

TEST(Softmax, GradientsMatchF64) {
  on_every_target([&] {
    for (DType dtype : float_dtypes) {
      for (int64_t n : lengths) {
        const Array x = array_of(normal_values(3 * n, 1, 4), {3, n}, dtype);
        const Array dy = array_of(normal_values(3 * n, 2), {3, n}, dtype);
        for (bool log : {false, true}) {
          const Array y = backend(x)->rows.softmax(x, log);
          const auto ys = values_of(y), grads = values_of(dy);
          std::vector<double> dx;
          for (size_t row = 0; row < ys.size(); row += size_t(n)) {
            double total = 0;
            for (size_t i = row; i < row + size_t(n); ++i) total += grads[i] * (log ? 1 : ys[i]);
            for (size_t i = row; i < row + size_t(n); ++i)
              dx.push_back(log ? grads[i] - std::exp(ys[i]) * total : ys[i] * (grads[i] - total));
          }
          expect_near(backend(x)->rows.softmax_grad(y, dy, log), dx, 10 * epsilon_of(dtype));
        }
      }
    }
  });
}

TEST(Softmax, IsFiniteForLargeScoresAndSkipsMinusInfinity) {
  on_every_target([&] {
    for (DType dtype : float_dtypes) {
      const Array x = array_of({9984, -infinity, 9984, -9984, 9984, 9984}, {6}, dtype);
      EXPECT_EQ(values_of(backend(x)->rows.softmax(x, false)),
                (std::vector<double>{0.25, 0, 0.25, 0, 0.25, 0.25}));
      const auto log_p = values_of(backend(x)->rows.softmax(x, true));
      EXPECT_NEAR(log_p[0], std::log(0.25), epsilon_of(dtype) * 2);
      EXPECT_EQ(log_p[1], -infinity);
      const Array nothing = array_of({-infinity, -infinity}, {2}, dtype);
      for (double p : values_of(backend(x)->rows.softmax(nothing, false)))
        EXPECT_TRUE(std::isnan(p));
      const Array poisoned = array_of({1, std::nan(""), 2}, {3}, dtype);
      for (double p : values_of(backend(x)->rows.softmax(poisoned, false)))
        EXPECT_TRUE(std::isnan(p));
    }
  });
}

TEST(CausalMask, ShowsAQueryTheKeysUpToItsOwn) {
  for (DType dtype : float_dtypes) {
    const Array x = array_of({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, {2, 2, 3}, dtype);
    EXPECT_EQ(values_of(backend(x)->rows.causal_mask(x, -infinity)),
              (std::vector<double>{1, 2, -infinity, 4, 5, 6, 7, 8, -infinity, 10, 11, 12}));
    EXPECT_EQ(values_of(backend(x)->rows.causal_mask(x, 0)),
              (std::vector<double>{1, 2, 0, 4, 5, 6, 7, 8, 0, 10, 11, 12}));
  }
}

TEST(Softmax, SameBitsForAnyThreads) {
  const Array x = array_of(normal_values(500 * 333, 1, 4), {500, 333}, DType::f32);
  expect_same_for_any_threads([&] {
    const Array y = backend(x)->rows.softmax(x, false), log_y = backend(x)->rows.softmax(x, true);
    return std::vector{y, log_y, backend(x)->rows.softmax_grad(y, x, false),
                       backend(x)->rows.softmax_grad(log_y, x, true)};
  });
}

}  // namespace
}  // namespace folio
