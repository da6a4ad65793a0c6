// The kernels of packed products in every order in which the emulator runs threads; what they give
// is looked at more closely by the tests of core, on this device too.
#include <gtest/gtest.h>

#include "core/backend.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"
#include "tests/emulated_backend.h"

namespace folio {
namespace {

template <class T>
std::vector<double> product_on(Device device, WeightFormat format, int64_t M, int64_t N,
                               int64_t K) {
  const auto array = [&](Shape shape, uint32_t seed) {
    return to_array(normal<T>(size_t(shape.size()), seed), shape, device);
  };
  const PackedWeight w = backend(device)->packed.pack(array({N, K}, 1), format);
  const Array y = backend(device)->packed.linear(array({M, K}, 2), w, array({N}, 3), gelu_tanh_op);
  return doubles(to_vector<T>(y));
}

template <class T>
void expect_the_cpus(WeightFormat format, double tolerance) {
  constexpr int64_t N = 70, K = 204;  // seven blocks of K, the last cut short, in three slices
  for (const int64_t M : {1, 9, 20, 66}) {  // each kernel
    SCOPED_TRACE(fmt::format("{}, {} rows", format, M));
    const auto expected = product_on<T>(cpu, format, M, N, K);
    std::vector<double> first;
    on_every_schedule([&] {
      const auto y = product_on<T>(emulated_device(), format, M, N, K);
      EXPECT_LE(error_of(y, expected), tolerance);
      if (first.empty()) first = y;
      EXPECT_EQ(y, first);
    });
  }
}

// The devices add in different orders.
TEST(CudaPacked, ProductsAreTheCpusInEverySchedule) {
  expect_the_cpus<float>(WeightFormat::f32, 1e-5);
  expect_the_cpus<float>(WeightFormat::bf16, 1e-5);
  expect_the_cpus<float>(WeightFormat::int8, 1e-5);
  expect_the_cpus<float>(WeightFormat::int4, 1e-5);
  expect_the_cpus<double>(WeightFormat::f32, 1e-13);
}

}  // namespace
}  // namespace folio
