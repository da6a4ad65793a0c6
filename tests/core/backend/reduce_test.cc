#include <algorithm>
#include <limits>
#include <numeric>

#include "tests/core/arrays.h"

namespace folio {
namespace {

struct View {
  int64_t outer, n, inner;
};
const std::vector<View> views = {{1, 1, 1},    {3, 5, 1},  {2, 100, 1},   {1, 200003, 1},
                                 {2, 9000, 1}, {4, 3, 70}, {1, 300, 200}, {2, 7, 3},
                                 {1, 2, 5000}, {0, 3, 2},  {1, 1500, 33}, {2, 3001, 5}};

Shape shape_of(const View& view) { return {view.outer, view.n, view.inner}; }

// f(values along the axis, place of the result) for each result.
template <class F>
void for_each_run(const View& view, const std::vector<double>& x, F&& f) {
  for (int64_t o = 0; o < view.outer; ++o) {
    for (int64_t i = 0; i < view.inner; ++i) {
      std::vector<double> run;
      for (int64_t j = 0; j < view.n; ++j)
        run.push_back(x[size_t((o * view.n + j) * view.inner + i)]);
      f(run, o * view.inner + i);
    }
  }
}

TEST(Reduce, MatchesF64) {
  on_every_target([&] {
    for (DType dtype : float_dtypes) {
      for (const View& view : views) {
        const Array x = array_of(normal_values(shape_of(view).size(), 1), shape_of(view), dtype);
        std::vector<double> sums, largest;
        for_each_run(view, values_of(x), [&](const std::vector<double>& run, int64_t) {
          sums.push_back(double(std::accumulate(run.begin(), run.end(), 0.0L)));
          largest.push_back(*std::max_element(run.begin(), run.end()));
        });
        const Array sum = backend(x)->reductions.reduce(Reduction::sum, x, 1);
        EXPECT_EQ(sum.shape(), (Shape{view.outer, 1, view.inner}));
        const double unit = dtype == DType::f64 ? 1e-16 : 1e-7;  // of the n roundings of size 1
        const double rounding = 10 * unit * std::sqrt(double(view.n));
        expect_near(sum, sums, epsilon_of(dtype) + rounding);
        EXPECT_EQ(values_of(backend(x)->reductions.reduce(Reduction::max, x, 1)), largest);
      }
    }
  });
}

// 64 additions follow one another in f32. A running sum would be off by 1e-3 here.
TEST(Reduce, ALongSumKeepsItsDigits) {
  on_every_target([&] {
    const int64_t n = 1 << 22;
    for (const Shape& shape : {Shape{1, n, 1}, Shape{1, n / 4, 4}}) {
      Array x = empty(shape, DType::f32);
      backend(x)->elementwise.fill(x, 0.1f);
      const double expected = double(0.1f) * double(shape[1]);
      for (double sum : values_of(backend(x)->reductions.reduce(Reduction::sum, x, 1)))
        EXPECT_NEAR(sum, expected, 64 * 0x1p-24 * expected);
    }
  });
}

TEST(Reduce, ANanIsTheLargest) {
  on_every_target([&] {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (DType dtype : float_dtypes) {
      for (int64_t at = 0; at < 40; ++at) {
        std::vector<double> values = normal_values(40, 1);
        values[size_t(at)] = nan;
        for (const Shape& shape : {Shape{1, 40, 1}, Shape{1, 20, 2}}) {
          const Array x = array_of(values, shape, dtype);
          const auto y = values_of(backend(x)->reductions.reduce(Reduction::max, x, 1));
          EXPECT_TRUE(std::isnan(y[size_t(at) % y.size()])) << at;
          EXPECT_EQ(std::count_if(y.begin(), y.end(), [](double top) { return std::isnan(top); }),
                    1);
        }
      }
    }
  });
}

TEST(ReduceGrad, GoesToEveryTermOrToTheFirstLargest) {
  for (DType dtype : float_dtypes) {
    for (const View& view : views) {
      std::vector<double> values = normal_values(shape_of(view).size(), 1);
      for (double& value : values) value = std::round(value);  // many are equal
      const Array x = array_of(values, shape_of(view), dtype);
      const Shape one{view.outer, 1, view.inner};
      const Array dy = array_of(normal_values(one.size(), 2), one, dtype);
      const auto grads = values_of(dy);
      std::vector<double> of_sum(values.size()), of_max(values.size());
      for_each_run(view, values, [&](const std::vector<double>& run, int64_t r) {
        const int64_t first = std::max_element(run.begin(), run.end()) - run.begin();
        for (int64_t j = 0; j < view.n; ++j) {
          const int64_t o = r / view.inner, i = r % view.inner;
          const auto at = size_t((o * view.n + j) * view.inner + i);
          of_sum[at] = grads[size_t(r)];
          of_max[at] = j == first ? grads[size_t(r)] : 0;
        }
      });
      const Array shape = Array::shape_only(x.shape(), dtype);
      EXPECT_EQ(values_of(backend(x)->reductions.reduce_grad(Reduction::sum, shape, {}, dy, 1)),
                of_sum);
      const Array y = backend(x)->reductions.reduce(Reduction::max, x, 1);
      EXPECT_EQ(values_of(backend(x)->reductions.reduce_grad(Reduction::max, x, y, dy, 1)), of_max);
    }
  }
}

TEST(Reduce, SameBitsForAnyThreads) {
  expect_same_for_any_threads([&] {
    std::vector<Array> all;
    for (const View& view : views) {
      const Array x = array_of(normal_values(shape_of(view).size(), 1), shape_of(view), DType::f32);
      for (Reduction op : {Reduction::sum, Reduction::max})
        all.push_back(backend(x)->reductions.reduce(op, x, 1));
    }
    return all;
  });
}

}  // namespace
}  // namespace folio
