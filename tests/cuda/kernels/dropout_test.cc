#include "core/cuda/kernels/dropout.h"

#include <gtest/gtest.h>

#include "tests/cuda/device_buffer.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"

namespace folio {
namespace {

// Element for element what Dropout::keeps says; `offset` moves the arrays off their alignment.
template <class Y, class X>
void expect_matches(size_t n, double p, bool with_residual, size_t offset, double tolerance) {
  SCOPED_TRACE(testing::Message() << n << " elements, dropout " << p << ", offset " << offset);
  const Dropout dropout = Dropout::with(p, RandomStream{0x1234567890abcdefu, 5});
  const std::vector<X> x = normal<X>(n + offset, 1);
  const std::vector<Y> residual = normal<Y>(n + offset, 2);
  std::vector<double> expected(n + offset, 7);
  for (size_t i = 0; i < n; ++i)
    expected[i + offset] = (with_residual ? double(residual[i + offset]) : 0) +
                           (dropout.keeps(i) ? double(x[i + offset]) * dropout.scale() : 0);
  DeviceBuffer<X> device_x(x);
  DeviceBuffer<Y> device_residual(residual);
  on_every_schedule([&] {
    DeviceBuffer<Y> y(std::vector<Y>(n + offset, Y(7.0f)));
    cuda::add_dropout(with_residual ? device_residual.data() + offset : nullptr,
                      device_x.data() + offset, dropout, y.data() + offset, int64_t(n),
                      test_stream());
    EXPECT_LE(error_of(y.read(), expected), tolerance);
  });
}

TEST(CudaDropout, ElementsAreThoseOfTheCpu) {
  for (double p : {0.0, 0.2, 1.0 / 65536})
    for (auto [n, offset] :
         {std::pair{size_t{1}, size_t{0}}, {8, 0}, {2051, 0}, {4096, 0}, {64, 1}}) {
      if (with_tsan && n > 64) continue;
      expect_matches<double, double>(n, p, true, offset, 1e-15);
      expect_matches<float, float>(n, p, false, offset, 2e-7);
      expect_matches<float, bfloat16>(n, p, true, offset, 2e-7);
      expect_matches<bfloat16, float>(n, p, false, offset, 4e-3);
      expect_matches<bfloat16, bfloat16>(n, p, true, offset, 4e-3);
    }
}

}  // namespace
}  // namespace folio
