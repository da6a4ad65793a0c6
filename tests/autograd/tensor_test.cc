#include "autograd/tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

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

TEST(Tape, AHookSeesTheWholeGradientOnceABackward) {
  Tensor x = scalar(3), other = scalar(1);
  std::vector<double> seen;
  x.after_gradient([&] {
    seen.push_back(item(x.grad()));
    x.zero_grad();
  });
  auto square_and_more = [&] { return add(add(mul(x, x), mul(x, other)), x); };
  square_and_more().backward();  // 2x + other + 1
  EXPECT_EQ(seen, std::vector<double>{8});
  { Tensor dropped = square_and_more(); }  // whose ops will not come
  square_and_more().backward();
  EXPECT_EQ(seen, (std::vector<double>{8, 8}));
  EXPECT_FALSE(x.grad().defined());
}

TEST(Tape, AHookIsCalledForWhatRunsAgainInBackward) {
  Tensor w = scalar(3), x = scalar(2);
  int calls = 0;
  w.after_gradient([&] { ++calls; });
  recompute([&](const Tensor& input) { return mul(mul(input, w), w); }, x).backward();  // x w^2
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(item(w.grad()), 12);
}

TEST(Tape, OnlyALeafHasAHook) {
  EXPECT_THAT([] { scale(scalar(3), 2).after_gradient([] {}); },
              ThrowsMessage<Error>(HasSubstr("is no leaf")));
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

// An op of two results, x + y and x - y, that tells of every call of its backward which gradients
// it got. The second result can be made again.
struct SumAndDifference {
  std::vector<std::vector<bool>> calls;
  int made_again = 0;

  std::vector<Tensor> operator()(const Tensor& x, const Tensor& y) {
    auto pair = [](const Array& a, const Array& b) {
      Array negative = backend(b)->elementwise.cast(b, b.dtype());
      backend(b)->elementwise.scale(negative, -1);
      return std::vector<Array>{backend(a)->elementwise.add(a, b),
                                backend(a)->elementwise.add(a, negative)};
    };
    auto values = pair(x.array(), y.array());
    auto again = [this, pair, x = x.array(), y = y.array()] {
      ++made_again;
      return pair(x, y)[1];
    };
    return record({{values[0]}, {values[1], again}}, {x, y},
                  [this, pair](const std::vector<Gradient>& dys) {
                    calls.push_back({dys[0].defined(), dys[1].defined()});
                    const Array zero = full({}, 0, DType::f64, test_device());
                    return pair(dys[0].defined() ? dys[0] : zero, dys[1].defined() ? dys[1] : zero);
                  });
  }
};

TEST(Tape, EachResultOfAnOpHasItsGradient) {
  Tensor x = scalar(3), y = scalar(4);
  SumAndDifference op;
  auto results = op(x, y);
  EXPECT_EQ(item(results[0].array()), 7);
  EXPECT_EQ(item(results[1].array()), -1);
  // 2 (x + y) + 5 (x - y) + (x + y), of which the op hears when all of it has come
  add(add(scale(results[0], 2), scale(results[1], 5)), results[0]).backward();
  EXPECT_EQ(op.calls, (std::vector<std::vector<bool>>{{true, true}}));
  EXPECT_EQ(item(x.grad()), 8);
  EXPECT_EQ(item(y.grad()), -2);
}

TEST(Tape, AResultThatNobodyUsesHasNoGradient) {
  for (size_t used : {0, 1}) {
    Tensor x = scalar(3), y = scalar(4);
    SumAndDifference op;
    Tensor result = op(x, y)[used];
    scale(result, 2).backward();
    EXPECT_EQ(op.calls, (std::vector<std::vector<bool>>{{used == 0, used == 1}}));
    EXPECT_EQ(item(x.grad()), 2);
    EXPECT_EQ(item(y.grad()), used == 0 ? 2 : -2);
  }
}

TEST(Tape, ABackwardFromOneOfSeveralResultsIsTheOnlyOne) {
  Tensor x = scalar(3), y = scalar(4);
  SumAndDifference op;
  auto results = op(x, y);
  results[1].backward();
  EXPECT_EQ(item(x.grad()), 1);
  EXPECT_THAT([&] { results[0].backward(); }, ThrowsMessage<Error>(HasSubstr("freed")));
}

// Of several results, one may be kept and another made again.
TEST(Tape, AResultIsMadeAgainWhereItsOpSaysSo) {
  Tensor x = scalar(3), y = scalar(4);
  SumAndDifference op;
  auto results = op(x, y);
  mul(results[0], results[1]).backward();  // x^2 - y^2
  EXPECT_GE(op.made_again, 1);
  EXPECT_EQ(item(x.grad()), 6);
  EXPECT_EQ(item(y.grad()), -8);
}

TEST(Tape, NoResultIsRecordedWithoutNeed) {
  SumAndDifference op;
  for (const Tensor& result : op(scalar(3).array(), scalar(4).array()))
    EXPECT_FALSE(result.requires_grad());
  NoGrad no_grad;
  for (const Tensor& result : op(scalar(3), scalar(4))) EXPECT_FALSE(result.requires_grad());
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

// A leaf's values in bf16 are those of a cast, and are cast again after any write to them.
TEST(Copy, IsKeptUntilTheValuesChange) {
  Tensor x = Tensor::leaf(to_array(std::vector<float>{1.001f, -2.003f, 0}, {3}));
  auto rounded = [&] { return backend(x.array())->elementwise.cast(x.array(), DType::bf16); };
  auto values = [](const Array& array) {
    return to_vector<float>(backend(array)->elementwise.cast(array, DType::f32));
  };
  EXPECT_FALSE(x.kept_copy().defined());
  const Array first = x.in(DType::bf16);
  EXPECT_EQ(values(first), values(rounded()));
  EXPECT_TRUE(x.in(DType::bf16).shares_storage_with(first));
  EXPECT_TRUE(Tensor(x).kept_copy().shares_storage_with(first));
  EXPECT_TRUE(x.in(DType::f32).shares_storage_with(x.array()));

  Array array = x.array(), part = array.slice(1, 2);  // a view's writes are writes
  const std::vector<float> one{5.005f}, three{1.1f, 2.2f, 3.3f};
  const Array factor = to_array(std::vector<float>{3}, {});
  const std::function<void()> writes[] = {
      [&] { backend(part)->memory.write(one.data(), part); },
      [&] { backend(part)->elementwise.fill(part, 7.007); },
      [&] {
        backend(array)->random.normal(array, 0, 1, {1, 2});
      },
      [&] { backend(array)->elementwise.scale(array, 1.5); },
      [&] { backend(array)->elementwise.scale(array, factor); },
      [&] { backend(part)->elementwise.accumulate(part, to_array(one, {1})); },
      [&] { backend(array)->layout.copy_block(to_array(one, {1}), 0, array, 2, 1, 0); },
      [&] { x.assign(to_array(three, {3})); }};
  for (const auto& write : writes) {
    const Array before = x.in(DType::bf16);
    write();
    EXPECT_FALSE(x.kept_copy().defined());
    EXPECT_NE(values(x.in(DType::bf16)), values(before));
    EXPECT_EQ(values(x.in(DType::bf16)), values(rounded()));
  }
}

TEST(Copy, NothingNewIsKeptUnderNoGradOrOfWhatIsNoLeaf) {
  Tensor x = Tensor::leaf(zeros({3}, DType::f32)), constant(zeros({3}, DType::f32));
  Tensor y = scale(x, 2);
  {
    NoGrad no_grad;
    x.in(DType::bf16);
  }
  constant.in(DType::bf16);
  y.in(DType::bf16);
  for (const Tensor& tensor : {x, constant, y}) EXPECT_FALSE(tensor.kept_copy().defined());
  EXPECT_THROW(y.keep_copy(zeros({3}, DType::bf16)), Error);
  EXPECT_THROW(x.keep_copy(zeros({2}, DType::bf16)), Error);
  const Array kept = x.in(DType::bf16);
  NoGrad no_grad;
  EXPECT_TRUE(x.in(DType::bf16).shares_storage_with(kept));
}

// A pass in bf16 rounds each matrix once, whatever number of passes there are.
TEST(Copy, IsWhatTheOpsMultiplyBy) {
  Tensor w = Tensor::leaf(full({4, 3}, 0.1, DType::f32, test_device()));
  Tensor x = Tensor::leaf(full({2, 3}, 1, DType::bf16, test_device()));
  linear(x, w, {});
  Array copy = w.kept_copy();
  ASSERT_TRUE(copy.defined());
  backend(copy)->elementwise.fill(copy, 2);
  for (bfloat16 value : to_vector<bfloat16>(linear(x, w, {}).array())) EXPECT_EQ(float(value), 6);
}

}  // namespace
}  // namespace folio
