#include "core/cuda/kernels/norms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>

#include "core/backend/norms.h"
#include "core/cuda/kernels/dropout.h"
#include "tests/cuda/device_buffer.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"

namespace folio {
namespace {

constexpr double eps = 1e-5;

struct Expected {
  std::vector<double> y, dx, dw, db;
};

// A norm and its gradient in loops; dw and db begin at 1.
Expected norm_reference(NormKind kind, int64_t rows, int C, const std::vector<double>& x,
                        const std::vector<double>& dy, const std::vector<double>& w,
                        const std::vector<double>& b) {
  Expected r{std::vector<double>(x.size()), std::vector<double>(x.size()),
             std::vector<double>(size_t(C), 1), std::vector<double>(size_t(C), 1)};
  for (int64_t row = 0; row < rows; ++row) {
    auto at = [&](int c) { return size_t(row * C + c); };
    const bool centered = kind == NormKind::layer;
    double mean = 0, variance = 0, mean_g = 0, mean_gn = 0;
    for (int c = 0; centered && c < C; ++c) mean += x[at(c)] / C;
    for (int c = 0; c < C; ++c) variance += (x[at(c)] - mean) * (x[at(c)] - mean) / C;
    const double rstd = 1 / std::sqrt(variance + eps);
    auto normal = [&](int c) { return (x[at(c)] - mean) * rstd; };
    for (int c = 0; c < C; ++c) {
      r.y[at(c)] = normal(c) * w[size_t(c)] + b[size_t(c)];
      r.dw[size_t(c)] += dy[at(c)] * normal(c);
      r.db[size_t(c)] += dy[at(c)];
      if (centered) mean_g += dy[at(c)] * w[size_t(c)] / C;
      mean_gn += dy[at(c)] * w[size_t(c)] * normal(c) / C;
    }
    for (int c = 0; c < C; ++c)
      r.dx[at(c)] = rstd * (dy[at(c)] * w[size_t(c)] - mean_g - normal(c) * mean_gn);
  }
  return r;
}

struct Parts {
  NormKind kind;
  bool w, b;
};

template <class X, class Y, class A>
void expect_matches(int64_t rows, int C, Parts of, double tolerance, double x_tolerance,
                    bool every_schedule = true) {
  SCOPED_TRACE(fmt::format("{} x {}, {}, w {}, b {}", rows, C,
                           of.kind == NormKind::rms ? "rms" : "layer", of.w, of.b));
  const std::vector<X> x = normal<X>(size_t(rows * C), 1);
  const std::vector<Y> dy = normal<Y>(size_t(rows * C), 2);
  const std::vector<A> w = of.w ? normal<A>(size_t(C), 3) : std::vector<A>(size_t(C), A(1));
  const std::vector<A> b = of.b ? normal<A>(size_t(C), 4) : std::vector<A>(size_t(C));
  const Expected expected =
      norm_reference(of.kind, rows, C, doubles(x), doubles(dy), doubles(w), doubles(b));
  DeviceBuffer<X> device_x(x);
  DeviceBuffer<Y> device_dy(dy);
  DeviceBuffer<A> device_w(w), device_b(b);
  std::vector<A> first_dw;
  auto run = [&] {
    DeviceBuffer<Y> y(x.size());
    DeviceBuffer<X> dx(x.size());
    DeviceBuffer<A> mean{size_t(rows)}, rstd{size_t(rows)};
    DeviceBuffer<A> dw(std::vector<A>(size_t(C), A(1))), db(std::vector<A>(size_t(C), A(1)));
    DeviceBuffer<A> scratch(size_t(cuda::norm_grad_scratch(rows, C)));
    A* means = of.kind == NormKind::layer ? mean.data() : nullptr;
    const A* weight = of.w ? device_w.data() : nullptr;
    cuda::norm(device_x.data(), weight, of.b ? device_b.data() : nullptr, eps, y.data(), means,
               rstd.data(), rows, C, test_stream());
    cuda::norm_grad(device_dy.data(), device_x.data(), weight, means, rstd.data(), dx.data(),
                    of.w ? dw.data() : nullptr, of.b ? db.data() : nullptr, scratch.data(), rows, C,
                    test_stream());
    EXPECT_LE(error_of(y.read(), expected.y), tolerance);
    EXPECT_LE(error_of(dx.read(), expected.dx), x_tolerance);
    EXPECT_LE(error_of(dw.read(), of.w ? expected.dw : std::vector<double>(size_t(C), 1)),
              sizeof(A) == 8 ? 1e-12 : 2e-6);
    EXPECT_LE(error_of(db.read(), of.b ? expected.db : std::vector<double>(size_t(C), 1)),
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
  const Parts affine{NormKind::layer, true, true}, weighted{NormKind::layer, true, false};
  const Parts plain{NormKind::layer, false, false};
  for (auto [rows, C] : {std::pair{1, 8}, {3, 33}, {17, 768}, {9, 260}}) {
    expect_matches<double, double, double>(rows, C, affine, 1e-12, 1e-12);
    expect_matches<float, float, float>(rows, C, affine, 2e-6, 2e-6);
    expect_matches<float, bfloat16, float>(rows, C, affine, 4e-3, 2e-6);
    expect_matches<bfloat16, bfloat16, float>(rows, C, weighted, 4e-3, 4e-3);
    expect_matches<float, float, float>(rows, C, plain, 2e-6, 2e-6, false);
  }
  if (!with_tsan) expect_matches<bfloat16, bfloat16, float>(4200, 8, affine, 4e-3, 4e-3, false);
}

TEST(CudaRmsNorm, MatchesLoops) {
  const Parts weighted{NormKind::rms, true, false}, plain{NormKind::rms, false, false};
  for (auto [rows, C] : {std::pair{1, 8}, {3, 33}, {17, 768}, {9, 260}}) {
    expect_matches<double, double, double>(rows, C, weighted, 1e-12, 1e-12);
    expect_matches<float, float, float>(rows, C, plain, 2e-6, 2e-6);
    expect_matches<float, bfloat16, float>(rows, C, weighted, 4e-3, 2e-6);
    expect_matches<bfloat16, bfloat16, float>(rows, C, plain, 4e-3, 4e-3);
  }
}

// What add_dropout_norm and its gradient work out, all that they write.
template <class X, class Y, class A>
struct NormedSumValues {
  std::vector<X> sum, dsum;
  std::vector<Y> y, dx;
  std::vector<A> mean, rstd, dw, db;
  bool operator==(const NormedSumValues&) const = default;
};

// The one kernel and the several, whose values MatchesLoops and CudaDropout look at, on the same
// numbers.
template <class X, class Y, class A>
struct NormedSumKernels {
  NormedSumKernels(int64_t rows, int C, double p, bool adds, NormKind kind = NormKind::layer)
      : rows(rows),
        C(C),
        adds(adds),
        kind(kind),
        dropout(Dropout::with(p, RandomStream{0x1234567890abcdefu, 5})),
        residual(normal<X>(n, 1)),
        so_far(normal<X>(n, 2)),
        x(normal<Y>(n, 3)),
        dy(normal<Y>(n, 4)),
        w(normal<A>(size_t(C), 5)),
        b(normal<A>(size_t(C), 6)) {}

  template <class F>
  NormedSumValues<X, Y, A> values(F&& run) {
    DeviceBuffer<X> sum(n), dsum(so_far.read());
    DeviceBuffer<Y> y(n), dx(n);
    DeviceBuffer<A> mean{size_t(rows)}, rstd{size_t(rows)};
    DeviceBuffer<A> dw(std::vector<A>(size_t(C), A(1))), db(std::vector<A>(size_t(C), A(1)));
    DeviceBuffer<A> scratch(size_t(cuda::norm_grad_scratch(rows, C)));
    run(sum.data(), y.data(), kind == NormKind::layer ? mean.data() : nullptr, rstd.data(),
        dsum.data(), dx.data(), dw.data(), db.data(), scratch.data());
    return {sum.read(),
            dsum.read(),
            y.read(),
            dx.read(),
            kind == NormKind::layer ? mean.read() : std::vector<A>(),
            rstd.read(),
            dw.read(),
            db.read()};
  }

  NormedSumValues<X, Y, A> of_one() {
    return values([&](X* sum, Y* y, A* mean, A* rstd, X* dsum, Y* dx, A* dw, A* db, A* scratch) {
      cuda::add_dropout_norm<X, Y, A>({residual.data(), x.data(), w.data(), b.data(), eps, dropout,
                                       sum, y, mean, rstd, rows, C},
                                      test_stream());
      cuda::add_dropout_norm_grad<X, Y, A>(dy.data(), sum, w.data(), mean, rstd, dropout, adds,
                                           dsum, dx, dw, db, scratch, rows, C, test_stream());
    });
  }

  NormedSumValues<X, Y, A> of_several() {
    return values([&](X* sum, Y* y, A* mean, A* rstd, X* dsum, Y* dx, A* dw, A* db, A* scratch) {
      const auto stream = test_stream();
      cuda::add_dropout<X, Y>(residual.data(), x.data(), dropout, sum, int64_t(n), stream);
      cuda::norm<X, Y, A>(sum, w.data(), b.data(), eps, y, mean, rstd, rows, C, stream);
      DeviceBuffer<X> grad(n);
      cuda::norm_grad<X, Y, A>(dy.data(), sum, w.data(), mean, rstd, grad.data(), dw, db, scratch,
                               rows, C, stream);
      // A dropout that keeps everything adds.
      cuda::add_dropout<X, X>(adds ? so_far.data() : nullptr, grad.data(), Dropout{}, dsum,
                              int64_t(n), stream);
      cuda::add_dropout<Y, X>(nullptr, dsum, dropout, dx, int64_t(n), stream);
    });
  }

  const int64_t rows;
  const int C;
  const size_t n = size_t(rows * C);
  const bool adds;
  const NormKind kind;
  const Dropout dropout;
  const DeviceBuffer<X> residual, so_far;
  const DeviceBuffer<Y> x, dy;
  const DeviceBuffer<A> w, b;
};

template <class X, class Y, class A>
void expect_bits_of_several(int64_t rows, int C, double p, bool adds,
                            NormKind kind = NormKind::layer) {
  SCOPED_TRACE(fmt::format("{} x {}, dropout {}, adds {}", rows, C, p, adds));
  ASSERT_TRUE((cuda::fits_add_dropout_norm<X, Y, A>(C)));
  NormedSumKernels<X, Y, A> kernels(rows, C, p, adds, kind);
  const auto several = kernels.of_several();
  on_every_schedule([&] { EXPECT_TRUE(kernels.of_one() == several); });
}

TEST(CudaAddDropoutNorm, HasTheBitsOfTheKernelsApart) {
  for (auto [rows, C] : {std::pair{1, 8}, {3, 33}, {17, 640}, {9, 260}}) {
    if (with_tsan && C > 64) continue;
    for (double p : {0.0, 0.2}) {
      expect_bits_of_several<double, double, double>(rows, C, p, true);
      expect_bits_of_several<float, float, float>(rows, C, p, false);
      expect_bits_of_several<float, bfloat16, float>(rows, C, p, true);
      expect_bits_of_several<bfloat16, bfloat16, float>(rows, C, p, true);
      expect_bits_of_several<float, bfloat16, float>(rows, C, p, true, NormKind::rms);
    }
  }
  // More rows than the grid takes at once.
  if (!with_tsan) {
    NormedSumKernels<float, bfloat16, float> kernels(4200, 8, 0.2, true);
    EXPECT_TRUE(kernels.of_one() == kernels.of_several());
  }
}

}  // namespace
}  // namespace folio
