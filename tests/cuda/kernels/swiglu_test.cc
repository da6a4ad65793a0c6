#include "core/cuda/kernels/swiglu.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/cuda/device_buffer.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"

namespace folio {
namespace {

template <class T>
class CudaSwiglu : public testing::Test {
 protected:
  // Of a result rounded once to T.
  static constexpr double tolerance = sizeof(T) == 8 ? 1e-14 : sizeof(T) == 4 ? 1e-6 : 4e-3;
};
using Types = testing::Types<double, float, bfloat16>;
TYPED_TEST_SUITE(CudaSwiglu, Types);

// Rows of whole packs and of others, and of more than a block has threads.
TYPED_TEST(CudaSwiglu, AndItsGradientMatchLoops) {
  using T = TypeParam;
  for (auto [rows, F] : {std::pair<int64_t, int64_t>{1, 1}, {3, 8}, {5, 33}, {2, 2056}}) {
    if (with_tsan && F > 100) continue;
    SCOPED_TRACE(fmt::format("{} x {}", rows, F));
    const std::vector<T> x = normal<T>(size_t(rows * 2 * F), 1),
                         dy = normal<T>(size_t(rows * F), 2);
    std::vector<double> y, dx(x.size());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < F; ++c) {
        const size_t at = size_t(r * 2 * F + c);
        const double gate = double(x[at]), up = double(x[at + size_t(F)]);
        const double g = double(dy[size_t(r * F + c)]), sigmoid = 1 / (1 + std::exp(-gate));
        y.push_back(gate * sigmoid * up);
        dx[at] = g * up * (sigmoid + gate * sigmoid * (1 - sigmoid));
        dx[at + size_t(F)] = g * gate * sigmoid;
      }
    const DeviceBuffer<T> device_x(x), device_dy(dy);
    on_every_schedule([&, rows = rows, F = F] {
      DeviceBuffer<T> value(dy.size()), again(dy.size()), grad(x.size()), alone(x.size());
      cuda::swiglu(device_x.data(), value.data(), rows, F, test_stream());
      cuda::swiglu_grad(device_x.data(), device_dy.data(), grad.data(), again.data(), rows, F,
                        test_stream());
      cuda::swiglu_grad(device_x.data(), device_dy.data(), alone.data(), static_cast<T*>(nullptr),
                        rows, F, test_stream());
      EXPECT_LE(error_of(value.read(), y), this->tolerance);
      EXPECT_LE(error_of(again.read(), y), this->tolerance);
      EXPECT_LE(error_of(grad.read(), dx), this->tolerance);
      EXPECT_LE(error_of(alone.read(), dx), this->tolerance);
    });
  }
}

}  // namespace
}  // namespace folio
