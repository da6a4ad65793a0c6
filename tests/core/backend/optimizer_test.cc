#include <cmath>
#include <limits>

#include "tests/core/arrays.h"
#include "tests/device.h"

namespace folio {
namespace {

TEST(Norm, IsTheLengthOfAllArraysTogether) {
  on_every_target([&] {
    std::vector<Array> arrays;
    double squares = 0;
    unsigned seed = 0;
    for (DType dtype : float_dtypes) {
      for (int64_t size : {0, 1, 5, 1000, 40003}) {
        arrays.push_back(array_of(normal_values(size, ++seed), {size}, dtype));
        for (double value : values_of(arrays.back())) squares += value * value;
      }
    }
    Array norm = test_backend()->optimizer.norm(arrays);
    EXPECT_EQ(norm.dtype(), DType::f32);
    EXPECT_NEAR(item(norm) / std::sqrt(squares), 1, 1e-6);
    EXPECT_EQ(item(test_backend()->optimizer.norm(std::vector{array_of({3, -4}, {2}, DType::f32)})),
              5);
    EXPECT_EQ(item(test_backend()->optimizer.norm({})), 0);
  });
}

TEST(ClipScale, ShortensLongGradientsOnly) {
  auto scale = [](double norm, double limit) {
    return item(test_backend()->optimizer.clip_scale(array_of({norm}, {}, DType::f32), limit));
  };
  EXPECT_NEAR(scale(4, 1), 1 / (4 + 1e-6), 1e-7);
  EXPECT_EQ(scale(0.5, 1), 1);
  EXPECT_EQ(scale(0, 1), 1);
  EXPECT_EQ(scale(std::numeric_limits<double>::infinity(), 1), 0);
  EXPECT_TRUE(std::isnan(scale(std::numeric_limits<double>::quiet_NaN(), 1)));
}

// torch.optim.AdamW's update, written out for one parameter.
struct ScalarAdamW {
  double p, m = 0, v = 0;

  void step(double grad, const AdamWStep& with, double weight_decay) {
    p *= 1 - with.learning_rate * weight_decay;
    m = with.beta1 * m + (1 - with.beta1) * grad;
    v = with.beta2 * v + (1 - with.beta2) * grad * grad;
    const double m_hat = m / (1 - std::pow(with.beta1, double(with.step)));
    const double v_hat = v / (1 - std::pow(with.beta2, double(with.step)));
    p -= with.learning_rate * m_hat / (std::sqrt(v_hat) + with.eps);
  }
};

// p = 1, gradients 0.1, then -0.3: worked out by hand.
TEST(AdamW, TakesTheStepsOfTheFormula) {
  Array p = array_of({1}, {1}, DType::f64), m = zeros({1}, DType::f64), v = zeros({1}, DType::f64);
  AdamWStep step{
      .learning_rate = 0.1, .beta1 = 0.9, .beta2 = 0.99, .eps = 0, .step = 1, .grad_scale = {}};
  backend(p)->optimizer.adamw(
      std::vector{AdamWSlot{p, array_of({0.1}, {1}, DType::f64), m, v, 0.5}}, step);
  EXPECT_NEAR(item(p), 0.95 - 0.1, 1e-15);  // the first step is the learning rate times the sign
  EXPECT_NEAR(item(m), 0.01, 1e-16);
  EXPECT_NEAR(item(v), 0.0001, 1e-16);
  step.step = 2;
  backend(p)->optimizer.adamw(
      std::vector{AdamWSlot{p, array_of({-0.3}, {1}, DType::f64), m, v, 0.5}}, step);
  EXPECT_NEAR(item(m), -0.021, 1e-16);
  EXPECT_NEAR(item(v), 0.000999, 1e-16);
  EXPECT_NEAR(item(p), 0.85 * 0.95 + 0.1 * (0.021 / 0.19) / std::sqrt(0.000999 / 0.0199), 1e-14);
}

TEST(AdamW, MatchesTheScalarFormulaOverManySlots) {
  on_every_target([&] {
    for (DType dtype : {DType::f64, DType::f32}) {
      std::vector<AdamWSlot> slots;
      std::vector<std::vector<ScalarAdamW>> expected;
      unsigned seed = 0;
      for (int64_t size : {1, 5, 16, 1000, 40003}) {
        AdamWSlot slot{array_of(normal_values(size, ++seed), {size}, dtype),
                       {},
                       zeros({size}, dtype),
                       zeros({size}, dtype),
                       size % 2 ? 0.1 : 0.0};
        std::vector<ScalarAdamW> scalars;
        for (double value : values_of(slot.param)) scalars.push_back({value});
        slots.push_back(slot);
        expected.push_back(scalars);
      }
      for (int64_t count = 1; count <= 3; ++count) {
        AdamWStep step{.learning_rate = 0.01,
                       .beta1 = 0.9,
                       .beta2 = 0.95,
                       .eps = 1e-8,
                       .step = count,
                       .grad_scale = array_of({0.25}, {}, DType::f32)};
        for (size_t s = 0; s < slots.size(); ++s) {
          AdamWSlot& slot = slots[s];
          slot.grad = array_of(normal_values(slot.param.size(), ++seed), slot.param.shape(), dtype);
          auto grads = values_of(slot.grad);
          for (size_t i = 0; i < grads.size(); ++i)
            expected[s][i].step(grads[i] * 0.25, step, slot.weight_decay);
        }
        test_backend()->optimizer.adamw(slots, step);
      }
      for (size_t s = 0; s < slots.size(); ++s) {
        std::vector<double> p, m, v;
        for (const ScalarAdamW& scalar : expected[s]) {
          p.push_back(scalar.p);
          m.push_back(scalar.m);
          v.push_back(scalar.v);
        }
        expect_near(slots[s].param, p, epsilon_of(dtype));
        expect_near(slots[s].m, m, epsilon_of(dtype));
        expect_near(slots[s].v, v, epsilon_of(dtype));
      }
    }
  });
}

TEST(AdamW, KeepsEpsOutsideTheRoot) {
  Array p = zeros({1}, DType::f64), m = zeros({1}, DType::f64), v = zeros({1}, DType::f64);
  AdamWStep step{
      .learning_rate = 1, .beta1 = 0.9, .beta2 = 0.95, .eps = 3, .step = 1, .grad_scale = {}};
  backend(p)->optimizer.adamw(std::vector{AdamWSlot{p, array_of({1}, {1}, DType::f64), m, v, 0}},
                              step);
  EXPECT_NEAR(item(p), -0.25, 1e-15);  // 1 / (sqrt(1) + 3)
}

TEST(AdamW, WritesTheRoundedValuesToo) {
  on_every_target([&] {
    for (int64_t size : {1, 5, 1000, 40003}) {
      Array p = array_of(normal_values(size, 1), {size}, DType::f32);
      AdamWSlot slot{p,
                     array_of(normal_values(size, 2), {size}, DType::f32),
                     zeros({size}, DType::f32),
                     zeros({size}, DType::f32),
                     0.1,
                     zeros({size}, DType::bf16)};
      backend(p)->optimizer.adamw(std::vector{slot}, {.learning_rate = 0.01, .grad_scale = {}});
      EXPECT_EQ(values_of(slot.rounded), values_of(backend(p)->elementwise.cast(p, DType::bf16)));
    }
  });
}

TEST(AdamW, ChangesNothingUnlessTheFiguresAreFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (float figure : {1.0f, infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
    Array p = array_of({1, 2}, {2}, DType::f32), grad = array_of({1, 1}, {2}, DType::f32);
    Array m = zeros({2}, DType::f32), v = zeros({2}, DType::f32), rounded = zeros({2}, DType::bf16);
    const std::vector<Array> figures{to_array(std::vector<float>{0, 1, figure}, {3}),
                                     to_array(std::vector<float>{2}, {})};
    for (const auto& order : {figures, std::vector{figures[1], figures[0]}})
      backend(p)->optimizer.adamw(
          std::vector{AdamWSlot{p, grad, m, v, 0.1, rounded}},
          {.learning_rate = 0.1, .grad_scale = {}, .only_if_finite = order});
    const bool changed = std::isfinite(figure);
    EXPECT_EQ(values_of(p) != std::vector<double>({1, 2}), changed);
    for (const Array& array : {m, v, rounded})
      EXPECT_EQ(values_of(array) != std::vector<double>({0, 0}), changed);
  }
}

TEST(Optimizer, SameBitsForAnyThreads) {
  expect_same_for_any_threads([] {
    std::vector<AdamWSlot> slots;
    std::vector<Array> grads, out;
    for (unsigned i = 1; i <= 20; ++i) {
      const int64_t size = 4999 * i;
      grads.push_back(array_of(normal_values(size, i), {size}, DType::f32));
      slots.push_back({array_of(normal_values(size, 100 + i), {size}, DType::f32), grads.back(),
                       zeros({size}, DType::f32), zeros({size}, DType::f32), 0.1});
      out.push_back(slots.back().param);
    }
    Array norm = test_backend()->optimizer.norm(grads);
    AdamWStep step{.learning_rate = 0.01,
                   .grad_scale = test_backend()->optimizer.clip_scale(norm, 1)};
    test_backend()->optimizer.adamw(slots, step);
    out.push_back(norm);
    return out;
  });
}

}  // namespace
}  // namespace folio
