#include "autograd/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/device.h"

namespace folio {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

Tensor scalar(double value) { return Tensor::leaf(to_array(std::vector<double>{value}, {})); }

TEST(Tape, GradientsOfSeveralBackwardsAddUp) {
  Tensor x = scalar(3);
  scale(x, 2).backward();
  scale(x, 5).backward();
  EXPECT_EQ(item(x.grad()), 7);
  x.zero_grad();
  EXPECT_FALSE(x.grad().defined());
}

TEST(Tape, ASharedInputGetsEveryPath) {
  Tensor x = scalar(3);
  Tensor y = scale(x, 2);
  add(add(y, y), x).backward();  // 2y + x = 5x
  EXPECT_EQ(item(x.grad()), 5);
}

// Ops give gradients in bf16 or, where they add them to a parameter's, in f32: in either order.
TEST(Tape, GradientsOfANarrowLeafAddUpWhateverTheirDtype) {
  for (bool linear_first : {true, false}) {
    Tensor w = Tensor::leaf(zeros({2, 2}, DType::bf16));
    Array one = empty({2, 2}, DType::bf16);
    backend(one)->elementwise.fill(one, 1);
    Tensor x(one), y, z;
    if (linear_first) y = linear(x, w, {});
    z = mul(x, w);
    if (!linear_first) y = linear(x, w, {});
    add(y, z).backward(one);
    EXPECT_EQ(to_vector<double>(backend(w.grad())->elementwise.cast(w.grad(), DType::f64)),
              std::vector<double>(4, 3));
  }
}

TEST(Tape, WalkingTwiceIsAnError) {
  Tensor x = scalar(3);
  Tensor y = scale(x, 2);
  y.backward();
  EXPECT_THAT([&] { scale(y, 1).backward(); }, ThrowsMessage<Error>(HasSubstr("freed")));
}

TEST(Tape, ASecondBackwardOfTheSameGraphIsAnErrorAndLeavesTheGradients) {
  Tensor x = scalar(3);
  Tensor y = scale(scale(x, 2), 5);
  y.backward();
  EXPECT_THAT([&] { y.backward(); },
              ThrowsMessage<Error>(HasSubstr("backward: a second time through the same graph")));
  EXPECT_EQ(item(x.grad()), 10);
  Tensor leaf = scalar(1);
  leaf.backward();
  leaf.backward();  // has no graph
  EXPECT_EQ(item(leaf.grad()), 2);
}

TEST(Tape, AGradientOfAnotherDtypeIsAnError) {
  Tensor y = scale(scalar(3), 2);
  EXPECT_THAT([&] { y.backward(zeros({}, DType::f32)); },
              ThrowsMessage<Error>(testing::AllOf(HasSubstr("float64"), HasSubstr("float32"))));
}

TEST(Tape, OnlyScalarsHaveABackward) {
  Tensor x = Tensor::leaf(zeros({2}, DType::f64));
  EXPECT_THAT([&] { scale(x, 1).backward(); }, ThrowsMessage<Error>(HasSubstr("[2]")));
}

TEST(Tape, NothingRecordedIsAnError) {
  Tensor x = scalar(3);
  NoGrad no_grad;
  EXPECT_THAT([&] { scale(x, 1).backward(); }, ThrowsMessage<Error>(HasSubstr("NoGrad")));
}

TEST(Tape, BackwardFreesWhatItHasWalked) {
  Tensor x = Tensor::leaf(zeros({1 << 16}, DType::f32));
  size_t before = test_backend()->memory.use().live;
  {
    Tensor h = x;
    for (int i = 0; i < 4; ++i) h = elementwise<GeluErf>(h);
    Tensor loss = record(zeros({}, DType::f32), {h}, [](Array) {
      Array grad({1 << 16}, DType::f32, test_device());
      backend(grad)->elementwise.fill(grad, 1);
      return std::vector<Array>{grad};
    });
    h = {};
    size_t recorded = test_backend()->memory.use().live;
    EXPECT_GE(recorded - before, size_t{3} << 18);
    loss.backward();
    EXPECT_LE(test_backend()->memory.use().live - before,
              (size_t{1} << 18) + 4096);  // x's gradient
  }
}

}  // namespace
}  // namespace folio
