#include "core/cuda/kernels/norms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>

#include "tests/cuda/device_buffer.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"

namespace folio {
namespace {

constexpr double eps = 1e-5;

struct Expected {
  std::vector<double> y, dx, dw, db;
};

// Layer norm and its gradient in loops; dw and db begin at 1.
Expected layer_norm_reference(int64_t rows, int C, const std::vector<double>& x,
                              const std::vector<double>& dy, const std::vector<double>& w,
                              const std::vector<double>& b) {
  Expected r{std::vector<double>(x.size()), std::vector<double>(x.size()),
             std::vector<double>(size_t(C), 1), std::vector<double>(size_t(C), 1)};
  for (int64_t row = 0; row < rows; ++row) {
    auto at = [&](int c) { return size_t(row * C + c); };
    double mean = 0, variance = 0, mean_g = 0, mean_gn = 0;
    for (int c = 0; c < C; ++c) mean += x[at(c)] / C;
    for (int c = 0; c < C; ++c) variance += (x[at(c)] - mean) * (x[at(c)] - mean) / C;
    const double rstd = 1 / std::sqrt(variance + eps);
    auto normal = [&](int c) { return (x[at(c)] - mean) * rstd; };
    for (int c = 0; c < C; ++c) {
      r.y[at(c)] = normal(c) * w[size_t(c)] + b[size_t(c)];
      r.dw[size_t(c)] += dy[at(c)] * normal(c);
      r.db[size_t(c)] += dy[at(c)];
      mean_g += dy[at(c)] * w[size_t(c)] / C;
      mean_gn += dy[at(c)] * w[size_t(c)] * normal(c) / C;
    }
    for (int c = 0; c < C; ++c)
      r.dx[at(c)] = rstd * (dy[at(c)] * w[size_t(c)] - mean_g - normal(c) * mean_gn);
  }
  return r;
}

template <class X, class Y, class A>
void expect_matches(int64_t rows, int C, bool with_bias, double tolerance, double x_tolerance,
                    bool every_schedule = true) {
  SCOPED_TRACE(fmt::format("{} x {}, bias {}", rows, C, with_bias));
  const std::vector<X> x = normal<X>(size_t(rows * C), 1);
  const std::vector<Y> dy = normal<Y>(size_t(rows * C), 2);
  const std::vector<A> w = normal<A>(size_t(C), 3);
  const std::vector<A> b = with_bias ? normal<A>(size_t(C), 4) : std::vector<A>(size_t(C));
  const Expected expected =
      layer_norm_reference(rows, C, doubles(x), doubles(dy), doubles(w), doubles(b));
  DeviceBuffer<X> device_x(x);
  DeviceBuffer<Y> device_dy(dy);
  DeviceBuffer<A> device_w(w), device_b(b);
  std::vector<A> first_dw;
  auto run = [&] {
    DeviceBuffer<Y> y(x.size());
    DeviceBuffer<X> dx(x.size());
    DeviceBuffer<A> mean{size_t(rows)}, rstd{size_t(rows)};
    DeviceBuffer<A> dw(std::vector<A>(size_t(C), A(1))), db(std::vector<A>(size_t(C), A(1)));
    DeviceBuffer<A> scratch(size_t(cuda::layer_norm_grad_scratch(rows, C)));
    cuda::layer_norm(device_x.data(), device_w.data(), with_bias ? device_b.data() : nullptr, eps,
                     y.data(), mean.data(), rstd.data(), rows, C, test_stream());
    cuda::layer_norm_grad(device_dy.data(), device_x.data(), device_w.data(), mean.data(),
                          rstd.data(), dx.data(), dw.data(), with_bias ? db.data() : nullptr,
                          scratch.data(), rows, C, test_stream());
    EXPECT_LE(error_of(y.read(), expected.y), tolerance);
    EXPECT_LE(error_of(dx.read(), expected.dx), x_tolerance);
    EXPECT_LE(error_of(dw.read(), expected.dw), sizeof(A) == 8 ? 1e-12 : 2e-6);
    EXPECT_LE(error_of(db.read(), with_bias ? expected.db : std::vector<double>(size_t(C), 1)),
              sizeof(A) == 8 ? 1e-12 : 2e-6);
    const std::vector<A> sums = dw.read();
    if (first_dw.empty()) first_dw = sums;
    EXPECT_EQ(sums, first_dw) << "the order of the sums is the shape's";
  };
  every_schedule ? on_every_schedule(run) : run();
}

// Rows of whole packs and of others, more and fewer columns than a block has threads, and more rows
// than the grid takes at once.
TEST(CudaLayerNorm, MatchesLoops) {
  for (auto [rows, C] : {std::pair{1, 8}, {3, 33}, {17, 768}, {9, 260}}) {
    expect_matches<double, double, double>(rows, C, true, 1e-12, 1e-12);
    expect_matches<float, float, float>(rows, C, true, 2e-6, 2e-6);
    expect_matches<float, bfloat16, float>(rows, C, true, 4e-3, 2e-6);
    expect_matches<bfloat16, bfloat16, float>(rows, C, false, 4e-3, 4e-3);
  }
  if (!with_tsan) expect_matches<bfloat16, bfloat16, float>(4200, 8, true, 4e-3, 4e-3, false);
}

}  // namespace
}  // namespace folio
