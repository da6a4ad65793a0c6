#include <cmath>

#include "tests/core/arrays.h"
#include "tests/device.h"

namespace folio {
namespace {

using Values = std::vector<double>;
constexpr double eps = 1e-5;

struct Reference {
  Values y, mean, rstd, dx, dw, db;
};

Reference reference(const Values& x, const Values& w, const Values& b, const Values& dy) {
  const size_t C = w.size(), rows = x.size() / C;
  Reference out;
  out.dw = out.db = Values(C, 0);
  for (size_t r = 0; r < rows; ++r) {
    const double *in = &x[r * C], *grad = &dy[r * C];
    double mean = 0, variance = 0, sum_g = 0, sum_gn = 0;
    for (size_t i = 0; i < C; ++i) mean += in[i] / double(C);
    for (size_t i = 0; i < C; ++i) variance += (in[i] - mean) * (in[i] - mean) / double(C);
    const double rstd = 1 / std::sqrt(variance + eps);
    for (size_t i = 0; i < C; ++i) {
      const double normal = (in[i] - mean) * rstd;
      out.y.push_back(normal * w[i] + (b.empty() ? 0 : b[i]));
      out.dw[i] += grad[i] * normal;
      out.db[i] += grad[i];
      sum_g += grad[i] * w[i];
      sum_gn += grad[i] * w[i] * normal;
    }
    for (size_t i = 0; i < C; ++i)
      out.dx.push_back(
          rstd * (grad[i] * w[i] - sum_g / double(C) - (in[i] - mean) * rstd * sum_gn / double(C)));
    out.mean.push_back(mean);
    out.rstd.push_back(rstd);
  }
  return out;
}

struct Inputs {
  DType y;
  Array x, w, b, dy;

  Inputs(int64_t rows, int64_t C, DType dtype, DType parameters)
      : Inputs(rows, C, dtype, parameters, dtype) {}
  Inputs(int64_t rows, int64_t C, DType dtype, DType parameters, DType y)
      : y(y),
        x(array_of(normal_values(rows * C, 1, 2), {rows, C}, dtype)),
        w(array_of(normal_values(C, 2), {C}, parameters)),
        b(array_of(normal_values(C, 3), {C}, parameters)),
        dy(array_of(normal_values(rows * C, 4), {rows, C}, y)) {}
};

struct Case {
  int64_t rows, C;
  DType dtype, parameters, y;
};
class LayerNormTest : public testing::TestWithParam<Case> {};

TEST_P(LayerNormTest, MatchesTheReference) {
  on_every_target([&] {
    auto [rows, C, dtype, parameters, y] = GetParam();
    Inputs in(rows, C, dtype, parameters, y);
    const DType sums = dtype == DType::f64 ? DType::f64 : DType::f32;
    const double close = epsilon_of(dtype), sum_close = 8 * epsilon_of(sums);
    for (bool bias : {true, false}) {
      auto expected = reference(values_of(in.x), values_of(in.w), bias ? values_of(in.b) : Values{},
                                values_of(in.dy));
      auto out = backend(in.x)->norms.norm(in.x, in.w, bias ? in.b : Array(),
                                           {NormKind::layer, eps}, in.y);
      EXPECT_EQ(out.mean.dtype(), sums);
      EXPECT_EQ(out.y.dtype(), y);
      expect_near(out.y, expected.y, 4 * epsilon_of(y));
      expect_near(out.mean, expected.mean, sum_close);
      expect_near(out.rstd, expected.rstd, sum_close);
      Array dw, db;
      for (double times : {1, 2}) {  // made first, then added to
        Array dx = backend(in.x)->norms.norm_grad(in.dy, in.x, in.w, out.mean, out.rstd, dw,
                                                  bias ? &db : nullptr);
        EXPECT_EQ(dw.dtype(), sums);
        EXPECT_EQ(dx.dtype(), dtype);
        expect_near(dx, expected.dx, 4 * close);
        expect_near(dw, multiplied(expected.dw, times),
                    times * sum_close * std::sqrt(double(rows)));
        EXPECT_EQ(db.defined(), bias);
        if (bias)
          expect_near(db, multiplied(expected.db, times),
                      times * sum_close * std::sqrt(double(rows)));
      }
    }
  });
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (auto [rows, C] :
       {std::pair<int64_t, int64_t>{1, 1}, {3, 5}, {70, 16}, {200, 33}, {5000, 24}, {9, 384}})
    for (auto [dtype, parameters, y] : {std::tuple{DType::f64, DType::f64, DType::f64},
                                        {DType::f32, DType::f32, DType::f32},
                                        {DType::f32, DType::f32, DType::bf16},
                                        {DType::bf16, DType::f32, DType::bf16},
                                        {DType::bf16, DType::bf16, DType::bf16}})
      all.push_back({rows, C, dtype, parameters, y});
  return all;
}
INSTANTIATE_TEST_SUITE_P(Shapes, LayerNormTest, testing::ValuesIn(cases()), [](const auto& info) {
  return fmt::format("{}x{}_{}_{}_{}", info.param.rows, info.param.C, info.param.dtype,
                     info.param.parameters, info.param.y);
});

// The gradient of sum(dy * y) against central differences.
TEST(LayerNorm, GradientsMatchFiniteDifferences) {
  Inputs in(4, 7, DType::f64, DType::f64);
  auto weight = values_of(in.dy);
  auto objective = [&] {
    auto y = values_of(backend(in.x)->norms.norm(in.x, in.w, in.b, {NormKind::layer, eps}, in.y).y);
    double total = 0;
    for (size_t i = 0; i < y.size(); ++i) total += weight[i] * y[i];
    return total;
  };
  auto forward = backend(in.x)->norms.norm(in.x, in.w, in.b, {NormKind::layer, eps}, in.y);
  Array dw, db;
  Array dx = backend(in.x)->norms.norm_grad(in.dy, in.x, in.w, forward.mean, forward.rstd, dw, &db);
  for (auto [input, grad] : {std::pair{&in.x, &dx}, {&in.w, &dw}, {&in.b, &db}}) {
    const Array original = *input;
    auto analytic = values_of(*grad), at = values_of(original);
    for (size_t i = 0; i < at.size(); ++i) {
      const double h = 1e-6;
      auto moved = at;
      moved[i] = at[i] + h;
      *input = array_of(moved, original.shape(), DType::f64);
      double above = objective();
      moved[i] = at[i] - h;
      *input = array_of(moved, original.shape(), DType::f64);
      double below = objective();
      ASSERT_NEAR(analytic[i], (above - below) / (2 * h), 1e-7);
    }
    *input = original;
  }
}

// A naive sum of squares loses the variance of a row far from zero.
TEST(LayerNorm, IsAccurateFarFromZero) {
  auto values = normal_values(256, 5);
  for (double& value : values) value += 1000;
  Array x = array_of(values, {1, 256}, DType::f32), w = empty({256}, DType::f32);
  backend(w)->elementwise.fill(w, 1);
  auto expected = reference(values_of(x), Values(256, 1), {}, Values(256, 0));
  expect_near(backend(x)->norms.norm(x, w, {}, {NormKind::layer, eps}, DType::f32).y, expected.y,
              2e-4);
}

TEST(LayerNorm, RowsDoNotDependOnOtherRows) {
  on_every_target([&] {
    Inputs in(50, 37, DType::bf16, DType::f32);
    auto all = backend(in.x)->norms.norm(in.x, in.w, in.b, {NormKind::layer, eps}, in.y);
    for (int64_t r : {0, 1, 23, 49}) {
      auto one =
          backend(in.x)->norms.norm(in.x.slice(r, r + 1), in.w, in.b, {NormKind::layer, eps}, in.y);
      EXPECT_EQ(bytes_of(one.y), bytes_of(all.y.slice(r, r + 1)));
      EXPECT_EQ(bytes_of(one.rstd), bytes_of(all.rstd.slice(r, r + 1)));
    }
  });
}

TEST(LayerNorm, SameBitsForAnyThreads) {
  Inputs in(3000, 70, DType::f32, DType::f32);
  expect_same_for_any_threads([&] {
    auto y = backend(in.x)->norms.norm(in.x, in.w, in.b, {NormKind::layer, eps}, in.y);
    Array dw, db;
    Array dx = backend(in.x)->norms.norm_grad(in.dy, in.x, in.w, y.mean, y.rstd, dw, &db);
    return std::vector{y.y, y.mean, y.rstd, dx, dw, db};
  });
}

}  // namespace
}  // namespace folio
