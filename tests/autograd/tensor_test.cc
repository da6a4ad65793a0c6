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
  size_t before = test_backend().memory().live;
  {
    Tensor h = x;
    for (int i = 0; i < 4; ++i) h = elementwise<GeluErf>(h);
    Tensor loss = record(zeros({}, DType::f32), {h}, [](Array) {
      Array grad({1 << 16}, DType::f32, test_device());
      backend(grad).fill(grad, 1);
      return std::vector<Array>{grad};
    });
    h = {};
    size_t recorded = test_backend().memory().live;
    EXPECT_GE(recorded - before, size_t{3} << 18);
    loss.backward();
    EXPECT_LE(test_backend().memory().live - before, (size_t{1} << 18) + 4096);  // x's gradient
  }
}

TEST(Ops, ShapeErrorsNameTheOpAndTheShapes) {
  Tensor x(zeros({2, 3}, DType::f32)), w(zeros({5, 4}, DType::f32));
  EXPECT_THAT([&] { linear(x, w, {}); },
              ThrowsMessage<Error>(
                  testing::AllOf(HasSubstr("linear"), HasSubstr("[2, 3]"), HasSubstr("[5, 4]"))));
  EXPECT_THAT([&] { add(x, w); }, ThrowsMessage<Error>(HasSubstr("add")));
  EXPECT_THAT(
      [&] {
        attention(Tensor(zeros({1, 2, 10}, DType::f32)), 3, {});
      },
      ThrowsMessage<Error>(HasSubstr("3 heads")));
}

// A call of each op by its name; `make(shape)` gives its float inputs one after the other.
struct Call {
  std::string_view op;
  int inputs;
  std::function<Tensor(const std::function<Tensor(Shape)>&)> run;
};

std::vector<Call> calls() {
  using Make = std::function<Tensor(Shape)>;
  Array ids = zeros({1, 2}, DType::i32);
  std::vector<Call> all{
      {"add", 2,
       [](const Make& make) {
         Tensor a = make({2, 3});
         return add(a, make({2, 3}));
       }},
      {"scale", 1,
       [](const Make& make) {
         return scale(make({2, 3}), 2);
       }},
      {"cast", 1,
       [](const Make& make) {
         return cast(make({2, 3}), DType::bf16);
       }},
      {"add_dropout", 2,
       [](const Make& make) {
         Tensor residual = make({2, 3});
         return add_dropout(residual, make({2, 3}), {});
       }},
      {"linear", 3,
       [](const Make& make) {
         Tensor x = make({2, 3}), w = make({4, 3});
         return linear(x, w, make({4}));
       }},
      {"feed_forward", 5,
       [](const Make& make) {
         Tensor x = make({2, 3}), w_fc = make({4, 3}), b_fc = make({4}), w_proj = make({3, 4});
         return feed_forward(x, w_fc, b_fc, w_proj, make({3}), gelu_erf_op);
       }},
      {"layer_norm", 3,
       [](const Make& make) {
         Tensor x = make({2, 3}), w = make({3});
         return layer_norm(x, w, make({3}), x.dtype());
       }},
      {"embedding", 2,
       [ids](const Make& make) {
         Tensor wte = make({5, 3});
         return embedding(ids, wte, make({2, 3}), wte.dtype());
       }},
      {"attention", 1,
       [](const Make& make) {
         return attention(make({1, 2, 6}), 1, {});
       }},
      {"linear_cross_entropy", 2,
       [ids](const Make& make) {
         Tensor x = make({1, 2, 3});
         return linear_cross_entropy(x, make({5, 3}), ids);
       }},
      {"recompute", 1, [](const Make& make) {
         return recompute([](const Tensor& x) { return scale(x, 2); }, make({2, 3}));
       }}};
  std::apply(
      [&](auto... op) {
        (all.push_back({decltype(op)::name, 1,
                        [](const Make& make) {
                          return elementwise<decltype(op)>(make({2, 3}));
                        }}),
         ...);
      },
      UnaryOps{});
  return all;
}

// The call's message when input number `odd` is made by `other` and the rest in f32.
std::string message_with(const Call& call, int odd, const std::function<Tensor(Shape)>& other) {
  int made = 0;
  try {
    call.run([&](Shape shape) {
      return made++ == odd ? other(shape) : Tensor::leaf(zeros(shape, DType::f32));
    });
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Ops, EveryOpNamesItselfForInputsThatItCannotCompute) {
  std::vector<std::string_view> named;
  for (const Call& call : calls()) {
    named.push_back(call.op);
    for (int odd = 0; odd < call.inputs; ++odd) {
      SCOPED_TRACE(std::string(call.op) + " " + std::to_string(odd));
      std::string begins(call.op);
      EXPECT_EQ(message_with(call, odd, [](Shape s) { return Tensor(zeros(s, DType::f32)); }), "");
      EXPECT_THAT(
          message_with(call, odd,
                       [](Shape s) { return Tensor::leaf(Array::shape_only(s, DType::f32)); }),
          testing::AllOf(testing::StartsWith(begins), HasSubstr("no values")));
      EXPECT_THAT(message_with(call, odd, [](Shape s) { return Tensor(zeros(s, DType::i32)); }),
                  testing::StartsWith(begins));
      if (call.inputs == 1) continue;
      EXPECT_THAT(
          message_with(call, odd, [](Shape s) { return Tensor(zeros(s, DType::f64)); }),
          testing::AllOf(testing::StartsWith(begins), HasSubstr("float64"), HasSubstr("float32")));
    }
  }
  EXPECT_THAT(named, testing::UnorderedElementsAreArray(op_names()));
}

}  // namespace
}  // namespace folio
