#include <gtest/gtest.h>

#include <cmath>

#include "core/backend.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"
#include "tests/emulated_backend.h"

namespace folio {
namespace {

constexpr double theta = 10000, eps = 1e-5;

struct Case {
  int64_t B, T;
  Heads heads;
  bool turned, normed, weighted;
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.B << " x " << c.T << ", " << c.heads.n_head << " heads of " << c.heads.width << ", "
       << c.heads.n_kv_head << " of keys, turned " << c.turned << ", normed " << c.normed
       << ", weighted " << c.weighted;
}

struct Values {
  std::vector<double> y, dqkv, dq, dk;
};

// In loops over each head; dq and dk begin at 1. Row b's positions begin at starts[b].
Values reference(const Case& c, const std::vector<int32_t>& starts, const std::vector<double>& qkv,
                 const std::vector<double>& dy, const std::vector<double>& q_weight,
                 const std::vector<double>& k_weight) {
  const auto width = size_t(c.heads.width), half = width / 2;
  const int64_t keys = c.heads.n_head, values = keys + c.heads.n_kv_head;
  Values out{qkv, dy, std::vector<double>(width, 1), std::vector<double>(width, 1)};
  for (int64_t row = 0; row < c.B * c.T; ++row)
    for (int64_t head = 0; head < values; ++head) {
      const size_t at = size_t(row * c.heads.columns() + head * c.heads.width);
      const std::vector<double>& w = head < keys ? q_weight : k_weight;
      std::vector<double>& dw = head < keys ? out.dq : out.dk;
      const double position = double(starts[size_t(row / c.T)]) + double(row % c.T);
      double squares = 0;
      for (size_t i = 0; i < width; ++i) squares += qkv[at + i] * qkv[at + i];
      const double rstd = c.normed ? 1 / std::sqrt(squares / double(width) + eps) : 1;
      auto weight = [&](size_t i) { return c.weighted ? w[i] : 1.0; };
      std::vector<double> x(width), g(width);
      for (size_t i = 0; i < width; ++i) x[i] = qkv[at + i] * rstd * weight(i), g[i] = dy[at + i];
      for (size_t i = 0; c.turned && i < half; ++i) {
        const double angle = position * std::pow(theta, -2 * double(i) / double(width));
        const double cos = std::cos(angle), sin = std::sin(angle), a = x[i], b = x[half + i];
        x[i] = a * cos - b * sin, x[half + i] = b * cos + a * sin;
        const double da = g[i], db = g[half + i];
        g[i] = da * cos + db * sin, g[half + i] = db * cos - da * sin;
      }
      double mean = 0;
      for (size_t i = 0; i < width; ++i) {
        out.y[at + i] = x[i];
        const double n = qkv[at + i] * rstd;
        mean += g[i] * weight(i) * n / double(width);
        if (c.weighted) dw[i] += g[i] * n;
      }
      for (size_t i = 0; i < width; ++i)
        out.dqkv[at + i] = c.normed ? rstd * (g[i] * weight(i) - qkv[at + i] * rstd * mean) : g[i];
    }
  return out;
}

class CudaRotary : public testing::TestWithParam<Case> {};

TEST_P(CudaRotary, MatchesLoops) {
  const Case c = GetParam();
  const Device device = emulated_device();
  const Shape shape{c.B, c.T, c.heads.columns()}, weights{c.heads.width};
  auto array_of = [&](const std::vector<double>& values, const Shape& shape, DType dtype) {
    const Array x = to_array(values, shape, device);
    return backend(x)->elementwise.cast(x, dtype);
  };
  auto values_of = [](const Array& x) {
    return to_vector<double>(backend(x)->elementwise.cast(x, DType::f64));
  };
  for (auto [dtype, unit, sum_unit] : {std::tuple{DType::f64, 1e-12, 1e-12},
                                       {DType::f32, 4e-6, 4e-6},
                                       {DType::bf16, 8e-3, 4e-6}}) {
    SCOPED_TRACE(dtype == DType::bf16 ? "bf16" : dtype == DType::f32 ? "f32" : "f64");
    const DType sums = dtype == DType::f64 ? DType::f64 : DType::f32;
    const Array qkv = array_of(normal<double>(size_t(shape.size()), 1), shape, dtype);
    const Array dy = array_of(normal<double>(size_t(shape.size()), 2), shape, dtype);
    HeadNorm norm{c.normed, eps, {}};
    const Array q = array_of(normal<double>(size_t(c.heads.width), 3), weights, sums),
                k = array_of(normal<double>(size_t(c.heads.width), 4), weights, sums);
    if (c.weighted) norm.q = q, norm.k = k;
    for (bool own_positions : {false, true}) {
      std::vector<int32_t> starts(size_t(c.B), 0);
      for (size_t b = 0; own_positions && b < starts.size(); ++b) starts[b] = int32_t(7 * b + 3);
      const Values expected =
          reference(c, starts, values_of(qkv), values_of(dy), values_of(q), values_of(k));
      std::vector<double> first;
      on_every_schedule([&, dtype = dtype, unit = unit, sum_unit = sum_unit] {
        const Array positions = own_positions ? to_array(starts, {c.B}, device) : Array();
        Array table;
        if (c.turned)
          table = backend(device)->rotary.table(positions, c.T, c.heads.width, {theta}, sums);
        Array dq = full(weights, 1, sums, device), dk = full(weights, 1, sums, device);
        const Array y = backend(qkv)->rotary.forward(qkv, c.heads, norm, table);
        const Array dqkv = backend(qkv)->rotary.grad(
            dy, qkv, c.heads, norm, table, c.weighted ? &dq : nullptr, c.weighted ? &dk : nullptr);
        EXPECT_EQ(y.dtype(), dtype);
        EXPECT_LE(error_of(values_of(y), expected.y), unit);
        EXPECT_LE(error_of(values_of(dqkv), expected.dqkv), unit);
        EXPECT_LE(error_of(values_of(dq), expected.dq), sum_unit);
        EXPECT_LE(error_of(values_of(dk), expected.dk), sum_unit);
        if (first.empty()) first = values_of(dq);
        EXPECT_EQ(values_of(dq), first) << "the order of the sums is the shape's";
      });
    }
  }
}

// Halves of whole packs and of others, of one element, of more than 32 lanes take at once; shared
// keys; an odd width, which can be normed; more heads than a block takes at once.
INSTANTIATE_TEST_SUITE_P(Cases, CudaRotary,
                         testing::Values(Case{2, 5, {3, 3, 16}, true, true, true},
                                         Case{2, 5, {4, 2, 64}, true, true, true},
                                         Case{2, 3, {4, 1, 20}, true, false, false},
                                         Case{1, 3, {2, 2, 2}, true, true, true},
                                         Case{1, 2, {2, 1, 130}, true, true, true},
                                         Case{1, 2, {1, 1, 1056}, true, true, true},
                                         Case{2, 3, {3, 1, 5}, false, true, true},
                                         Case{1, 3, {2, 1, 24}, true, true, false},
                                         Case{1, 1, {44, 44, 32}, true, true, true}));

// Angles are the same whichever call reaches a position, far from the first too.
TEST(CudaRotaryTable, APositionHasTheSameBitsFromEveryStart) {
  const Device device = emulated_device();
  const int32_t start = 1000000;
  auto row_of = [&](int32_t from, int64_t T, DType dtype) {
    const Array positions = to_array(std::vector<int32_t>{0, from}, {2}, device);
    const Array table = backend(device)->rotary.table(positions, T, 16, {theta}, dtype);
    std::vector<double> all =
        to_vector<double>(backend(table)->elementwise.cast(table, DType::f64));
    return std::vector<double>(all.end() - 16, all.end());
  };
  for (DType dtype : {DType::f32, DType::f64}) {
    const std::vector<double> last = row_of(start, 1, dtype);
    EXPECT_EQ(row_of(start - 37, 38, dtype), last);
    for (size_t i = 0; i < 8; ++i) {
      const double angle = start * std::pow(theta, -2 * double(i) / 16);
      EXPECT_NEAR(last[i], std::cos(angle), dtype == DType::f32 ? 6e-8 : 1e-9);
      EXPECT_NEAR(last[8 + i], std::sin(angle), dtype == DType::f32 ? 6e-8 : 1e-9);
    }
  }
}

// The speeds of four pairs: one that Llama 3's scaling leaves, one between, two that it divides.
TEST(CudaRotaryTable, ScaledSpeedsAreTheCpus) {
  const Rope rope{100, 8, 1, 4, 64};
  const Array ours = backend(emulated_device())->rotary.table({}, 9, 8, rope, DType::f64);
  const Array cpus = backend(cpu)->rotary.table({}, 9, 8, rope, DType::f64);
  const Array plain = backend(cpu)->rotary.table({}, 9, 8, {100}, DType::f64);
  EXPECT_LE(error_of(to_vector<double>(ours), to_vector<double>(cpus)), 1e-12);
  EXPECT_GT(error_of(to_vector<double>(ours), to_vector<double>(plain)), 0.1);
}

}  // namespace
}  // namespace folio
