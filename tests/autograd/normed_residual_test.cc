// add_dropout_norm beside add_dropout and layer_norm, byte for byte: on the CPU a checkpoint
// must not depend on which of them a model ran.
#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/core/arrays.h"

namespace folio {
namespace {

struct Case {
  DType residual, x;
  Shape shape;
  double dropout;
  bool bias;
};

// What both spellings begin with.
struct Inputs {
  Tensor residual, x, w, b, w_next;

  explicit Inputs(const Case& c) {
    const int64_t C = c.shape[-1];
    auto leaf = [](unsigned seed, Shape shape, DType dtype) {
      return Tensor::leaf(array_of(normal_values(shape.size(), seed), shape, dtype));
    };
    const DType wide = c.residual == DType::f64 ? DType::f64 : DType::f32;
    residual = leaf(1, c.shape, c.residual);
    x = leaf(2, c.shape, c.x);
    w = leaf(3, {C}, wide);
    if (c.bias) b = leaf(4, {C}, wide);
    w_next = leaf(5, {C}, c.x);
  }
};

// The sum, its norm, and the gradients where the norm's way and the one around it meet again.
template <class F>
std::vector<std::vector<char>> results(const Case& c, F&& add_and_norm) {
  Inputs in(c);
  const Dropout dropout = Dropout::with(c.dropout, {7, 3}), next = Dropout::with(0.5, {7, 4});
  std::vector<std::vector<char>> all;
  for (int pass = 0; pass < 2; ++pass) {  // the second adds to the gradients of the parameters
    auto [sum, normed] = add_and_norm(in, dropout);
    all.push_back(bytes_of(sum.array()));
    all.push_back(bytes_of(normed.array()));
    const Tensor y = add_dropout(sum, mul(normed, in.w_next), next);
    y.backward(array_of(normal_values(c.shape.size(), 6), c.shape, c.residual));
  }
  for (const Tensor& input : {in.residual, in.x, in.w, in.b, in.w_next})
    if (input.defined()) all.push_back(bytes_of(input.grad()));
  return all;
}

class NormedResidualBits : public testing::TestWithParam<Case> {};

TEST_P(NormedResidualBits, AreThoseOfTheTwoOps) {
  on_every_target([] {
    const Case& c = GetParam();
    const auto one = results(c, [](const Inputs& in, const Dropout& dropout) {
      return add_dropout_norm(in.residual, in.x, dropout, in.w, in.b);
    });
    const auto two = results(c, [&c](const Inputs& in, const Dropout& dropout) {
      const Tensor sum = add_dropout(in.residual, in.x, dropout);
      return NormedResidual{sum, layer_norm(sum, in.w, in.b, c.x)};
    });
    ASSERT_EQ(one.size(), two.size());
    for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i], two[i]) << "result " << i;
  });
}

// Rows of whole vectors and of others, at which a mask's blocks of eight do not begin, more rows
// than one task takes, and, for a GPU, longer ones than its shared memory holds eight of.
std::vector<Case> cases() {
  std::vector<Case> all;
  for (auto [residual, x] : {std::pair{DType::f64, DType::f64},
                             {DType::f32, DType::f32},
                             {DType::f32, DType::bf16},
                             {DType::bf16, DType::bf16}})
    for (const Shape& shape : {Shape{2, 5, 128}, {3, 7, 33}, {100, 12}, {1, 1}, {2, 1800}})
      for (double dropout : {0.0, 0.2})
        all.push_back({residual, x, shape, dropout, shape[-1] != 33});
  return all;
}
INSTANTIATE_TEST_SUITE_P(Shapes, NormedResidualBits, testing::ValuesIn(cases()),
                         [](const auto& info) {
                           const Case& c = info.param;
                           return fmt::format("{}_{}_{}x{}_{}", c.residual, c.x, c.shape.rows(),
                                              c.shape[-1], c.dropout > 0 ? "dropped" : "whole");
                         });

// Nothing goes on around the norm, or nothing from it.
TEST(NormedResidual, OneResultIsEnough) {
  const Case c{DType::f32, DType::bf16, {6, 40}, 0.2, true};
  const Dropout dropout = Dropout::with(c.dropout, {7, 3});
  for (bool sum_alone : {false, true}) {
    SCOPED_TRACE(sum_alone);
    Inputs one(c), two(c);
    const DType dtype = sum_alone ? c.residual : c.x;
    const Array dy = array_of(normal_values(c.shape.size(), 6), c.shape, dtype);
    auto both = add_dropout_norm(one.residual, one.x, dropout, one.w, one.b);
    (sum_alone ? both.sum : both.normed).backward(dy);
    const Tensor sum = add_dropout(two.residual, two.x, dropout);
    (sum_alone ? sum : layer_norm(sum, two.w, two.b, c.x)).backward(dy);
    EXPECT_EQ(bytes_of(one.residual.grad()), bytes_of(two.residual.grad()));
    EXPECT_EQ(bytes_of(one.x.grad()), bytes_of(two.x.grad()));
    ASSERT_EQ(one.w.grad().defined(), !sum_alone);
    if (!sum_alone) {
      EXPECT_EQ(bytes_of(one.w.grad()), bytes_of(two.w.grad()));
      EXPECT_EQ(bytes_of(one.b.grad()), bytes_of(two.b.grad()));
    }
  }
}

// The gradient that arrives at the sum is added to in place: not where another tensor has it too.
TEST(NormedResidual, AGradientThatOthersHoldIsNotWrittenTo) {
  const Case c{DType::f32, DType::f32, {3, 8}, 0, true};
  Inputs in(c);
  const Tensor other = Tensor::leaf(zeros(c.shape, DType::f32));
  auto [sum, normed] = add_dropout_norm(in.residual, in.x, {}, in.w, in.b);
  // add gives one array to `other` and to the sum
  const Tensor y = add(add(sum, other), normed);
  const Array dy = array_of(normal_values(c.shape.size(), 6), c.shape, DType::f32);
  const auto before = bytes_of(dy);
  y.backward(dy);
  EXPECT_EQ(bytes_of(dy), before);
  EXPECT_EQ(bytes_of(other.grad()), before);
}

// What the norm's result needs is kept once: the sum, and two numbers a row.
TEST(NormedResidual, TheNormIsMadeAgainInsteadOfKept) {
  const Case c{DType::f32, DType::f32, {64, 256}, 0.2, true};
  Inputs in(c);
  const Dropout dropout = Dropout::with(c.dropout, {7, 3});
  const size_t before = test_backend()->memory.use().live, row = 256 * sizeof(float);
  Tensor y;
  {
    auto [sum, normed] = add_dropout_norm(in.residual, in.x, dropout, in.w, in.b);
    y = mul(normed, in.w_next);
  }
  EXPECT_LT(test_backend()->memory.use().live - before, (2 * 64 + 8) * row);  // the sum and y
}

}  // namespace
}  // namespace folio
