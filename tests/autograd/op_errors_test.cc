// What an op says of inputs that it cannot take, and what it makes of empty ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "tests/autograd/op_table.h"
#include "tests/device.h"
#include "tests/guarded_backend.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

Tensor of(Shape shape, DType dtype = DType::f32) { return Tensor::leaf(zeros(shape, dtype)); }
Array ids(std::vector<int32_t> values) { return to_array(values, {int64_t(values.size())}); }

// The op's message when input number `odd` is made by `other` and the rest in f32; "" for none.
std::string message_with(const OpRow& row, size_t odd, const std::function<Tensor(Shape)>& other) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < row.inputs.size(); ++i)
    inputs.push_back(i == odd ? other(row.inputs[i]) : of(row.inputs[i]));
  return error_of([&] { row.op(inputs); });
}

TEST(OpErrors, EveryOpNamesItselfForInputsThatItCannotCompute) {
  for (const OpRow& row : op_table()) {
    if (row.name.find(':') != std::string::npos) continue;
    for (size_t odd = 0; odd < row.inputs.size(); ++odd) {
      SCOPED_TRACE(row.name + " " + std::to_string(odd));
      EXPECT_EQ(message_with(row, odd, [](Shape s) { return Tensor(zeros(s, DType::f32)); }), "");
      EXPECT_THAT(
          message_with(row, odd,
                       [](Shape s) { return Tensor::leaf(Array::shape_only(s, DType::f32)); }),
          AllOf(StartsWith(row.name), HasSubstr("no values")));
      EXPECT_THAT(message_with(row, odd, [](Shape s) { return of(s, DType::i32); }),
                  StartsWith(row.name));
      if (row.inputs.size() == 1) continue;
      EXPECT_THAT(message_with(row, odd, [](Shape s) { return of(s, DType::f64); }),
                  AllOf(StartsWith(row.name), HasSubstr("float64"), HasSubstr("float32")));
    }
  }
}

TEST(OpErrors, EveryOpNamesBothDevicesOfInputsThatAreApart) {
  const Device other = test_device() == cpu ? guarded_device() : cpu;
  for (const OpRow& row : op_table()) {
    if (row.inputs.size() == 1 || row.name.find(':') != std::string::npos) continue;
    for (size_t odd = 0; odd < row.inputs.size(); ++odd) {
      SCOPED_TRACE(row.name + " " + std::to_string(odd));
      std::string message = message_with(
          row, odd, [&](Shape s) { return Tensor::leaf(zeros(s, DType::f32, other)); });
      EXPECT_THAT(message, AllOf(HasSubstr("on " + name_of(test_device())),
                                 HasSubstr("on " + name_of(other))));
      EXPECT_THAT(message, StartsWith(row.name));
    }
  }
}

TEST(OpErrors, ShapesThatDoNotFitAreNamed) {
  struct Case {
    std::function<void()> run;
    std::vector<std::string> says;
  };
  const std::vector<Case> cases{
      {[] {
         linear(of({2, 3}), of({5, 4}), {});
       },
       {"linear", "[2, 3]", "[5, 4]"}},
      {[] {
         attention(of({1, 2, 10}), Heads::alike(9, 3), {});
       },
       {"attention", "3 heads"}},
      {[] {
         add(of({2, 3}), of({5, 4}));
       },
       {"add", "[2, 3]", "[5, 4]"}},
      {[] {
         mul(of({2, 3}), of({2}));
       },
       {"mul", "[2, 3]", "[2]"}},
      {[] {
         matmul(of({2, 3}), of({2, 3}));
       },
       {"matmul", "[2, 3]", "rows of 3", "columns of 2"}},
      {[] {
         matmul(of({2, 3}), of({3, 2}), {.transpose_b = true});
       },
       {"matmul", "[3, 2] transposed", "columns of 2"}},
      {[] {
         matmul(of({3}), of({3, 2}));
       },
       {"matmul", "a [3]"}},
      {[] {
         matmul(of({2, 3, 4}), of({5, 4, 3}));
       },
       {"matmul", "[2, 3, 4]", "[5, 4, 3]"}},
      {[] {
         matmul(of({2, 2, 3, 4}), of({2, 4, 3}));
       },
       {"matmul", "leading"}},
      {[] {
         sum(of({2, 3}), 2);
       },
       {"sum", "[2, 3]", "none of them 2"}},
      {[] {
         mean(of({2, 3}), -3);
       },
       {"mean", "none of them -3"}},
      {[] { max(of({}), 0); }, {"max", "0 dimensions"}},
      {[] {
         max(of({2, 0}), 1);
       },
       {"max", "[2, 0]", "nothing along dimension 1"}},
      {[] { softmax(of({})); }, {"softmax", "[]"}},
      {[] { log_softmax(of({})); }, {"log_softmax", "[]"}},
      {[] { rms_norm(of({}), {}); }, {"rms_norm", "[]"}},
      {[] {
         rms_norm(of({2, 3}), of({2}));
       },
       {"rms_norm", "[3]", "[2]"}},
      {[] {
         add_dropout_norm(of({2, 3}), of({3, 3}), {}, of({3}), {});
       },
       {"add_dropout_norm", "residual [2, 3]", "x [3, 3]"}},
      {[] {
         add_dropout_norm(of({2, 3}), of({2, 3}), {}, of({3}), of({2}));
       },
       {"add_dropout_norm", "[3]", "[2]"}},
      {[] {
         causal_mask(of({3, 2}));
       },
       {"causal_mask", "[3, 2]"}},
      {[] { causal_mask(of({3})); }, {"causal_mask", "[3]"}},
      {[] {
         reshape(of({2, 3}), {7});
       },
       {"reshape", "[2, 3]", "[7]"}},
      {[] {
         transpose(of({2, 3}), 0, 2);
       },
       {"transpose", "none of them 2"}},
      {[] {
         slice(of({2, 3}), 1, 2, 4);
       },
       {"slice", "[2, 4)", "which has 3"}},
      {[] {
         slice(of({2, 3}), 1, 2, 1);
       },
       {"slice", "[2, 1)"}},
      {[] {
         slice(of({2, 3}), 1, -1, 1);
       },
       {"slice", "[-1, 1)"}},
      {[] {
         slice(of({2, 3}), 5, 0, 1);
       },
       {"slice", "none of them 5"}},
      {[] { concat({}, 0); }, {"concat", "at least one"}},
      {[] {
         concat({of({2, 3}), of({3, 3})}, 1);
       },
       {"concat", "[2, 3]", "[3, 3]"}},
      {[] {
         concat({of({2, 3}), of({2})}, 0);
       },
       {"concat", "[2, 3]", "[2]"}},
      {[] { concat({of({})}, 0); }, {"concat", "0 dimensions"}},
      {[] {
         take_rows(of({2, 3, 4}), ids({0}));
       },
       {"take_rows", "[2, 3, 4]"}},
      {[] {
         take_rows(of({4, 2}), zeros({1}, DType::f32));
       },
       {"take_rows", "int32", "float32"}},
      {[] {
         take_rows(of({4, 2}), {});
       },
       {"take_rows", "no values"}},
      {[] {
         cross_entropy(of({2, 4}), ids({3}));
       },
       {"cross_entropy", "[2, 4]", "2 targets"}},
      {[] { cross_entropy(of({}), ids({0})); }, {"cross_entropy", "[..., V]"}},
  };
  for (const Case& c : cases) {
    std::string message = message_of(c.run);
    EXPECT_THAT(message, StartsWith(c.says[0]));
    for (const std::string& part : c.says) EXPECT_THAT(message, HasSubstr(part));
  }
}

// Nothing comes of nothing, and gradients of the inputs' shapes, of zeros.
TEST(Ops, TakeEmptyInputs) {
  struct Case {
    std::vector<Shape> inputs;
    Shape result;
    std::function<Tensor(const std::vector<Tensor>&)> op;
  };
  const std::vector<Case> cases{
      {{{0, 3}}, {0, 3}, [](auto& in) { return relu(in[0]); }},
      {{{0, 3}, {3}}, {0, 3}, [](auto& in) { return mul(in[0], in[1]); }},
      {{{0, 3}, {1, 3}}, {0, 3}, [](auto& in) { return add(in[0], in[1]); }},
      {{{2, 0}}, {2}, [](auto& in) { return sum(in[0], 1); }},
      {{{2, 0, 3}}, {2, 3}, [](auto& in) { return sum(in[0], 1); }},
      {{{2, 0}}, {0}, [](auto& in) { return sum(in[0], 0); }},
      {{{0, 3}}, {0}, [](auto& in) { return max(in[0], 1); }},
      {{{0, 3}}, {0, 3}, [](auto& in) { return softmax(in[0]); }},
      {{{3, 0}}, {3, 0}, [](auto& in) { return log_softmax(in[0]); }},
      {{{0, 3}}, {0, 3}, [](auto& in) { return causal_mask(in[0]); }},
      {{{0, 4}, {4}}, {0, 4}, [](auto& in) { return rms_norm(in[0], in[1]); }},
      {{{0, 4}, {4, 2}}, {0, 2}, [](auto& in) { return matmul(in[0], in[1]); }},
      {{{3, 0}, {0, 2}}, {3, 2}, [](auto& in) { return matmul(in[0], in[1]); }},
      {{{3, 0}, {2, 0, 2}}, {2, 3, 2}, [](auto& in) { return matmul(in[0], in[1]); }},
      {{{0, 3, 4}, {4, 2}}, {0, 3, 2}, [](auto& in) { return matmul(in[0], in[1]); }},
      {{{2, 0}},
       {0, 5},
       [](auto& in) {
         return reshape(in[0], {0, 5});
       }},
      {{{2, 0, 3}}, {3, 0, 2}, [](auto& in) { return transpose(in[0], 0, 2); }},
      {{{2, 3}}, {2, 0}, [](auto& in) { return slice(in[0], 1, 3, 3); }},
      {{{2, 0}, {2, 3}},
       {2, 3},
       [](auto& in) {
         return concat({in[0], in[1]}, 1);
       }},
      {{{0, 4}, {0, 4}, {4}, {4}},
       {0, 4},
       [](auto& in) { return add_dropout_norm(in[0], in[1], {}, in[2], in[3]).normed; }},
      {{{4, 2}}, {0, 2}, [](auto& in) { return take_rows(in[0], zeros({0}, DType::i32)); }},
      {{{4, 0}}, {1, 0}, [](auto& in) { return take_rows(in[0], ids({3})); }},
  };
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    for (size_t i = 0; i < cases.size(); ++i) {
      SCOPED_TRACE(std::string(name_of(dtype)) + " " + std::to_string(i));
      std::vector<Tensor> inputs;
      for (const Shape& shape : cases[i].inputs) inputs.push_back(of(shape, dtype));
      Tensor y = cases[i].op(inputs);
      EXPECT_EQ(y.shape(), cases[i].result);
      for (double value :
           to_vector<double>(backend(y.array())->elementwise.cast(y.array(), DType::f64)))
        EXPECT_EQ(value, 0);
      y.backward(zeros(y.shape(), y.dtype()));
      for (const Tensor& input : inputs) {
        ASSERT_TRUE(input.grad().defined());
        EXPECT_EQ(input.grad().shape(), input.shape());
        const Array grad = backend(input.grad())->elementwise.cast(input.grad(), DType::f64);
        for (double value : to_vector<double>(grad)) EXPECT_EQ(value, 0);
      }
    }
  }
}

TEST(Ops, AMeanOrLossOfNothingIsNotANumber) {
  EXPECT_TRUE(std::isnan(item(mean(of({0}), 0).array())));
  EXPECT_TRUE(std::isnan(item(cross_entropy(of({2, 3}), ids({-1, -1})).array())));
}

}  // namespace
}  // namespace folio
