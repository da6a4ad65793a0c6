#include "core/cuda/kernels/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/cuda/device_buffer.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"

namespace folio {
namespace {

// Lengths of whole packs and of others, of one block and of several.
constexpr size_t lengths[] = {1, 7, 8, 256, 2051};

// Positive numbers, for the functions that need them.
template <class T>
std::vector<T> positive(size_t n, uint32_t seed) {
  std::vector<T> values = normal<T>(n, seed);
  for (T& value : values) value = T(float(std::abs(double(value))) + 0.125f);
  return values;
}

template <class T>
class CudaElementwise : public testing::Test {
 protected:
  // Of a result rounded once to T.
  static constexpr double tolerance = sizeof(T) == 8 ? 1e-14 : sizeof(T) == 4 ? 1e-6 : 4e-3;
};
using Types = testing::Types<double, float, bfloat16>;
TYPED_TEST_SUITE(CudaElementwise, Types);

TYPED_TEST(CudaElementwise, EveryFunctionAndItsSlope) {
  using T = TypeParam;
  for_each_op<UnaryOps>([&](auto op) {
    SCOPED_TRACE(op.name);
    const bool any_sign = op.name != Log::name && op.name != Sqrt::name;
    for (size_t n : {size_t{8}, size_t{517}}) {
      const std::vector<T> x = any_sign ? normal<T>(n, 1) : positive<T>(n, 1), dy = normal<T>(n, 2);
      std::vector<double> values, slopes;
      for (size_t i = 0; i < n; ++i) {
        values.push_back(op.value(double(x[i])));
        slopes.push_back(double(dy[i]) * op.slope(double(x[i])));
      }
      DeviceBuffer<T> device_x(x), device_dy(dy), y(n), dx(n);
      cuda::unary(unary<decltype(op)>(), device_x.data(), y.data(), int64_t(n), test_stream());
      cuda::unary_grad(unary<decltype(op)>(), device_x.data(), device_dy.data(), dx.data(),
                       int64_t(n), test_stream());
      EXPECT_LE(error_of(y.read(), values), this->tolerance);
      EXPECT_LE(error_of(dx.read(), slopes), this->tolerance);
    }
  });
}

TYPED_TEST(CudaElementwise, SumsCastsAndScales) {
  using T = TypeParam;
  for (size_t n : lengths) {
    const std::vector<T> a = normal<T>(n, 3);
    const std::vector<bfloat16> b = normal<bfloat16>(n, 4);
    std::vector<double> sums, scaled;
    for (size_t i = 0; i < n; ++i) {
      sums.push_back(double(a[i]) + double(b[i]));
      scaled.push_back(sums[i] * 0.75 * 3);
    }
    on_every_schedule([&] {
      DeviceBuffer<T> device_a(a), y(n);
      DeviceBuffer<bfloat16> device_b(b), narrow(n);
      DeviceBuffer<float> factor(std::vector<float>{3});
      const auto count = int64_t(n);
      cuda::add(device_a.data(), device_b.data(), y.data(), count, test_stream());
      EXPECT_LE(error_of(y.read(), sums), this->tolerance);
      cuda::scale(y.data(), 0.75, count, test_stream());
      cuda::scale(y.data(), factor.data(), count, test_stream());
      EXPECT_LE(error_of(y.read(), scaled), 3 * this->tolerance);
      cuda::cast(y.data(), narrow.data(), count, test_stream());
      EXPECT_LE(error_of(narrow.read(), scaled), 8e-3);
      cuda::fill(y.data(), -2.5, count, test_stream());
      EXPECT_EQ(doubles(y.read()), std::vector<double>(n, -2.5));
    });
  }
}

// A view may begin anywhere.
TEST(CudaElementwiseOf, PointersThatAreNoMultipleOf16) {
  const std::vector<float> x = normal<float>(100, 5);
  DeviceBuffer<float> device_x(x), y(100);
  cuda::fill(y.data(), 0, 100, test_stream());
  cuda::cast(device_x.data() + 1, y.data() + 2, 97, test_stream());
  std::vector<float> expected(100);
  std::copy(x.begin() + 1, x.begin() + 98, expected.begin() + 2);
  EXPECT_EQ(y.read(), expected);
}

}  // namespace
}  // namespace folio
