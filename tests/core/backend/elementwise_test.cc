#include "core/elementwise.h"

#include <cmath>
#include <limits>

#include "tests/core/arrays.h"
#include "tests/device.h"

namespace folio {
namespace {

const std::vector<Unary> gelus = {gelu_erf_op, gelu_tanh_op};
const std::vector<int64_t> sizes = {0, 1, 5, 16, 31, 1000, 40003};

double value_of(Unary op, double x) {
  return visit_unary(op, [&](auto f) { return f.value(x); });
}
double slope_of(Unary op, double x) {
  return visit_unary(op, [&](auto f) { return f.slope(x); });
}

// f(op, whether it is a function of positive numbers alone) for every op.
template <class F>
void for_each_unary(F&& f) {
  for_each_op<UnaryOps>([&](auto op) {
    SCOPED_TRACE(std::string(op.name));
    f(unary<decltype(op)>(), std::isnan(op.value(-1.0)));
  });
}

// Phi(1) = 0.841344746..., and GPT-2's approximation at 1.
TEST(Functors, HaveTheKnownValues) {
  EXPECT_NEAR(GeluErf::value(1.0), 0.841344746068543, 1e-15);
  EXPECT_NEAR(GeluErf::value(-2.0), -2 * 0.022750131948179, 1e-15);
  EXPECT_NEAR(GeluTanh::value(1.0), 0.841191990608276, 1e-14);
  EXPECT_EQ(GeluTanh::value(0.0), 0.0);
}

TEST(Functors, SlopesMatchFiniteDifferences) {
  for_each_unary([](Unary op, bool positive) {
    for (double x = positive ? 0.25 : -8; x <= 8; x += 0.0625) {
      // has no slope there, or one that jumps
      if ((op == unary<Relu>() || op == unary<Relu2>()) && x == 0) continue;
      double h = 1e-5, difference = (value_of(op, x + h) - value_of(op, x - h)) / (2 * h);
      ASSERT_NEAR(slope_of(op, x), difference, 1e-8 * std::max(1.0, std::abs(difference))) << x;
    }
  });
}

TEST(Functors, AnOpThatIsNotInTheListIsAnError) {
  auto nothing = [](auto) {};
  EXPECT_THROW(visit_unary(Unary::none, nothing), Error);
  EXPECT_THROW(visit_binary(Binary(std::tuple_size_v<BinaryOps>), nothing), Error);
  Array x = zeros({2, 3}, DType::f32), w = zeros({4, 3}, DType::f32);
  EXPECT_THROW(backend(x)->products.linear(x, w, {}, Unary(std::tuple_size_v<UnaryOps>)), Error);
  EXPECT_THROW(backend(x)->elementwise.unary(Unary::none, x), Error);
}

TEST(Unary, MatchesTheScalarFunctor) {
  on_every_target([&] {
    for_each_unary([](Unary op, bool positive) {
      for (DType dtype : float_dtypes) {
        for (int64_t size : sizes) {
          std::vector<double> numbers = normal_values(size, 1, 3);
          if (positive)
            for (double& number : numbers) number = std::abs(number);
          Array x = array_of(numbers, {size}, dtype);
          Array dy = array_of(normal_values(size, 2), {size}, dtype);
          auto in = values_of(x), grad = values_of(dy);
          std::vector<double> y, dx;
          for (size_t i = 0; i < in.size(); ++i) {
            y.push_back(value_of(op, in[i]));
            dx.push_back(grad[i] * slope_of(op, in[i]));
          }
          expect_near(backend(x)->elementwise.unary(op, x), y, epsilon_of(dtype));
          expect_near(backend(x)->elementwise.unary_grad(op, x, dy), dx, 2 * epsilon_of(dtype));
        }
      }
    });
  });
}

TEST(Unary, EndsOfTheRangeAreThoseOfTheMathLibrary) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> ends{0, -1, 1e-39, 1e-30, 200, -200, infinity, -infinity, nan};
  on_every_target([&] {
    for (DType dtype : float_dtypes) {
      for_each_op<std::tuple<Relu, Sigmoid, Tanh, Exp, Log, Square, Sqrt>>([&](auto op) {
        Array x = array_of(ends, {int64_t(ends.size())}, dtype);
        auto in = values_of(x);
        auto got = values_of(backend(x)->elementwise.unary(unary<decltype(op)>(), x));
        for (size_t i = 0; i < in.size(); ++i) {
          double wanted = op.value(in[i]);
          if (dtype != DType::f64) wanted = double(float(wanted));  // may be infinite, or 0
          if (std::isfinite(wanted))
            EXPECT_NEAR(got[i], wanted, epsilon_of(dtype) * (1 + std::abs(wanted)))
                << op.name << " of " << in[i];
          else
            EXPECT_TRUE(std::isnan(wanted) ? std::isnan(got[i]) : got[i] == wanted)
                << op.name << " of " << in[i] << " is " << got[i];
        }
      });
    }
  });
}

TEST(Unary, IsFiniteFarOutAndKeepsNan) {
  on_every_target([&] {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (DType dtype : float_dtypes) {
      Array x = array_of({1e4, -1e4, 300, -300, nan}, {5}, dtype), one = zeros({5}, dtype);
      backend(one)->elementwise.fill(one, 1);
      auto in = values_of(x);
      for (Unary op : gelus) {
        auto y = values_of(backend(x)->elementwise.unary(op, x)),
             dx = values_of(backend(x)->elementwise.unary_grad(op, x, one));
        EXPECT_EQ(std::vector(y.begin(), y.end() - 1), (std::vector<double>{in[0], 0, in[2], 0}));
        EXPECT_EQ(std::vector(dx.begin(), dx.end() - 1), (std::vector<double>{1, 0, 1, 0}));
        EXPECT_TRUE(std::isnan(y[4]) && std::isnan(dx[4]));
      }
    }
  });
}

TEST(Add, AddsAndRoundsOnce) {
  on_every_target([&] {
    for (DType dtype : float_dtypes) {
      for (int64_t size : sizes) {
        Array a = array_of(normal_values(size, 1), {size}, dtype);
        Array b = array_of(normal_values(size, 2), {size}, dtype);
        auto left = values_of(a), right = values_of(b);
        std::vector<double> sum;
        for (size_t i = 0; i < left.size(); ++i) sum.push_back(left[i] + right[i]);
        EXPECT_EQ(bytes_of(backend(a)->elementwise.add(a, b)),
                  bytes_of(array_of(sum, {size}, dtype)));
      }
    }
  });
}

TEST(Cast, ConvertsEveryPair) {
  on_every_target([&] {
    auto values = normal_values(40003, 4);
    for (DType from : float_dtypes) {
      for (DType to : float_dtypes) {
        Array x = array_of(values, {40003}, from);
        Array y = backend(x)->elementwise.cast(x, to);
        EXPECT_EQ(y.dtype(), to);
        EXPECT_FALSE(y.shares_storage_with(x));
        EXPECT_EQ(bytes_of(y), bytes_of(array_of(values_of(x), {40003}, to)))
            << name_of(from) << " to " << name_of(to);
      }
    }
    EXPECT_THROW(test_backend()->elementwise.cast(zeros({2}, DType::i32), DType::f32), Error);
  });
}

TEST(Accumulate, AddsEveryPair) {
  on_every_target([&] {
    for (DType into : float_dtypes) {
      for (DType from : float_dtypes) {
        for (int64_t size : sizes) {
          Array sum = array_of(normal_values(size, 1), {size}, into);
          Array x = array_of(normal_values(size, 2), {size}, from);
          auto expected = values_of(sum), terms = values_of(x);
          for (size_t i = 0; i < terms.size(); ++i) expected[i] += terms[i];
          backend(x)->elementwise.accumulate(sum, x);
          expect_near(sum, expected, epsilon_of(into));
        }
      }
    }
  });
}

TEST(Scale, MultipliesByANumberOrAScalarArray) {
  on_every_target([&] {
    for (DType dtype : float_dtypes) {
      for (DType factor_dtype : float_dtypes) {
        Array x = array_of(normal_values(40003, 1), {40003}, dtype);
        auto expected = values_of(x);
        for (double& value : expected) value *= 0.375;
        Array by_array = backend(x)->elementwise.cast(x, dtype),
              by_number = backend(x)->elementwise.cast(x, dtype);
        backend(x)->elementwise.scale(by_array, array_of({0.375}, {}, factor_dtype));
        backend(x)->elementwise.scale(by_number, 0.375);
        expect_near(by_array, expected, epsilon_of(dtype));
        EXPECT_EQ(bytes_of(by_number), bytes_of(by_array));
        auto before = bytes_of(x);
        backend(x)->elementwise.scale(x, array_of({1}, {}, factor_dtype));
        EXPECT_EQ(bytes_of(x), before);
      }
    }
  });
}

TEST(Fill, FillsEveryDtype) {
  for (DType dtype : float_dtypes) {
    Array x({100003}, dtype, test_device());
    backend(x)->elementwise.fill(x, -1.5);
    EXPECT_EQ(values_of(x), std::vector<double>(100003, -1.5));
  }
  Array ids({9}, DType::i32, test_device());
  backend(ids)->elementwise.fill(ids, -1);
  EXPECT_EQ(to_vector<int32_t>(ids), std::vector<int32_t>(9, -1));
}

// An element is the same bits at the end of an array as in the middle of one.
TEST(Unary, BitsDoNotDependOnThePlace) {
  on_every_target([&] {
    auto values = normal_values(64, 7);
    for (DType dtype : float_dtypes) {
      Array all = array_of(values, {64}, dtype);
      auto whole = values_of(backend(all)->elementwise.unary(gelu_erf_op, all));
      for (int64_t begin = 0; begin < 64; begin += 5) {
        for (int64_t end = begin; end <= 64; end += 3) {
          auto part =
              values_of(backend(all)->elementwise.unary(gelu_erf_op, all.slice(begin, end)));
          ASSERT_EQ(part, std::vector(whole.begin() + begin, whole.begin() + end));
        }
      }
    }
  });
}

TEST(Elementwise, SameBitsForAnyThreads) {
  Array x = array_of(normal_values(100001, 3), {100001}, DType::f32);
  expect_same_for_any_threads([&] {
    Array sum = backend(x)->elementwise.add(x, x);
    backend(x)->elementwise.accumulate(sum, x);
    backend(x)->elementwise.scale(sum, 0.1);
    return std::vector{sum, backend(x)->elementwise.unary(gelu_tanh_op, x),
                       backend(x)->elementwise.unary_grad(gelu_erf_op, x, sum),
                       backend(x)->elementwise.cast(x, DType::bf16)};
  });
}

}  // namespace
}  // namespace folio
