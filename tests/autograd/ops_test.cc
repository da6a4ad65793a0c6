// Every differentiable op has a row here: its gradient against central differences in f64, no node
// under NoGrad, and no op without a row. PyTorch's figures for the same ops: reference_test.cc.
#include "autograd/ops.h"
#include "tests/device.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace folio {
namespace {

struct Row {
  std::string name;  // as in op_names(), with ':' and a variant if there are several rows
  std::vector<Shape> inputs;
  std::function<Tensor(const std::vector<Tensor>&)> op;
  double h = 1e-5;  // step of the differences
  double tolerance = 1e-7;
};

Dropout a_dropout() { return Dropout::with(0.3, {7, 3}); }

Array ids(std::vector<int32_t> values, Shape shape) { return to_array(values, shape); }

std::vector<Row> rows() {
  std::vector<Row> table{
      {"add", {{3, 5}, {3, 5}}, [](auto& in) { return add(in[0], in[1]); }},
      {"add:twice", {{3, 5}}, [](auto& in) { return add(in[0], in[0]); }},
      {"scale", {{3, 5}}, [](auto& in) { return scale(in[0], -1.75); }},
      // Linear, and rounded to f32 on the way: a long step.
      {"cast", {{4}}, [](auto& in) { return cast(cast(in[0], DType::f32), DType::f64); }, 64, 1e-7},
      {"add_dropout",
       {{5, 9}, {5, 9}},
       [](auto& in) { return add_dropout(in[0], in[1], a_dropout()); }},
      {"add_dropout:alone", {{5, 9}}, [](auto& in) { return add_dropout({}, in[0], a_dropout()); }},
      {"add_dropout:off", {{5, 9}, {5, 9}}, [](auto& in) { return add_dropout(in[0], in[1], {}); }},
      {"linear", {{2, 3, 7}, {5, 7}, {5}}, [](auto& in) { return linear(in[0], in[1], in[2]); }},
      {"linear:no_bias", {{6, 7}, {5, 7}}, [](auto& in) { return linear(in[0], in[1], {}); }},
      {"layer_norm",
       {{2, 3, 10}, {10}, {10}},
       [](auto& in) { return layer_norm(in[0], in[1], in[2], DType::f64); }},
      {"layer_norm:remade",
       {{2, 3, 10}, {10}, {4, 10}},
       [](auto& in) { return linear(layer_norm(in[0], in[1], {}, DType::f64), in[2], {}); }},
      {"embedding",
       {{6, 4}, {5, 4}},
       [](auto& in) {
         return embedding(ids({1, 5, 1, 0, 2, 1}, {2, 3}), in[0], in[1], DType::f64);
       }},
      {"attention", {{2, 7, 24}}, [](auto& in) { return attention(in[0], 2, {}); }},
      {"attention:dropout",
       {{2, 9, 24}},
       [](auto& in) { return attention(in[0], 2, a_dropout()); }},
      {"linear_cross_entropy",
       {{2, 3, 6}, {11, 6}},
       [](auto& in) {
         return linear_cross_entropy(in[0], in[1], ids({0, 10, -1, 4, 4, 2}, {2, 3}));
       }},
      {"linear_cross_entropy:scaled",
       {{4, 6}, {11, 6}},
       [](auto& in) {
         return scale(linear_cross_entropy(in[0], in[1], ids({0, 10, 3, 4}, {4})), 0.25);
       }},
      {"recompute",
       {{3, 4}, {5, 4}, {5}},
       [](auto& in) {
         return recompute([=](const Tensor& x) { return linear(x, in[1], in[2]); }, in[0]);
       }},
      {"recompute:twice",
       {{3, 4}, {4, 4}},
       [](auto& in) {
         auto f = [=](const Tensor& x) {
           return add(x, elementwise<GeluErf>(linear(x, in[1], {})));
         };
         return recompute(f, recompute(f, in[0]));
       }},
  };
  for (Unary act : {gelu_erf_op, gelu_tanh_op}) {
    table.push_back(
        {fmt::format("feed_forward:{}", int(act)),
         {{2, 3, 4}, {16, 4}, {16}, {4, 16}, {4}},
         [act](auto& in) { return feed_forward(in[0], in[1], in[2], in[3], in[4], act); }});
  }
  std::apply(
      [&](auto... op) {
        (table.push_back({std::string(decltype(op)::name),
                          {{40}},
                          [](auto& in) { return elementwise<decltype(op)>(in[0]); }}),
         ...);
      },
      UnaryOps{});
  return table;
}

std::vector<double> normal(size_t n, uint64_t stream) {
  Array array({int64_t(n)}, DType::f64, test_device());
  backend(array).random_normal(array, 0.1, 1, {42, stream});
  return to_vector<double>(array);
}

using Values = std::vector<std::vector<double>>;

std::vector<Tensor> leaves(const Row& row, const Values& values) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < values.size(); ++i)
    inputs.push_back(Tensor::leaf(to_array(values[i], row.inputs[i])));
  return inputs;
}

// sum(y * weights), the scalar whose gradient is checked.
Tensor weighted_sum(const Tensor& y, const std::vector<double>& weights) {
  std::vector<double> host = to_vector<double>(y.array());
  double sum = 0;
  for (size_t i = 0; i < host.size(); ++i) sum += host[i] * weights[i];
  Array scalar = to_array(std::vector<double>{sum}, {});
  return record(scalar, {y}, [weights, shape = y.shape()](Array dy) {
    Array grad = to_array(weights, shape);
    backend(grad).scale(grad, dy);
    return std::vector<Array>{grad};
  });
}

Values random_values(const Row& row) {
  Values values;
  for (size_t i = 0; i < row.inputs.size(); ++i)
    values.push_back(normal(size_t(row.inputs[i].size()), i));
  return values;
}

class Ops : public testing::TestWithParam<Row> {};

TEST_P(Ops, GradientMatchesFiniteDifferences) {
  const Row& row = GetParam();
  Values values = random_values(row);
  std::vector<Tensor> inputs = leaves(row, values);
  Tensor y = row.op(inputs);
  std::vector<double> weights = normal(size_t(y.array().size()), 99);
  weighted_sum(y, weights).backward();

  auto value_at = [&](const Values& at) {
    NoGrad no_grad;
    return item(weighted_sum(row.op(leaves(row, at)), weights).array());
  };
  double h = row.h;
  for (size_t i = 0; i < values.size(); ++i) {
    ASSERT_TRUE(inputs[i].grad().defined()) << "input " << i;
    EXPECT_EQ(inputs[i].grad().shape(), inputs[i].shape());
    std::vector<double> grad = to_vector<double>(inputs[i].grad());
    for (size_t j = 0; j < grad.size(); ++j) {
      Values above = values, below = values;
      above[i][j] += h;
      below[i][j] -= h;
      double slope = (value_at(above) - value_at(below)) / (2 * h);
      EXPECT_NEAR(grad[j], slope, row.tolerance * std::max(1.0, std::abs(slope)))
          << "input " << i << ", element " << j;
    }
  }
}

TEST_P(Ops, NoGradRecordsNothing) {
  const Row& row = GetParam();
  std::vector<Tensor> inputs = leaves(row, random_values(row));
  EXPECT_TRUE(row.op(inputs).requires_grad());
  NoGrad no_grad;
  EXPECT_FALSE(row.op(inputs).requires_grad());
}

INSTANTIATE_TEST_SUITE_P(Table, Ops, testing::ValuesIn(rows()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), ':', '_');
  return name;
});

TEST(Ops, EveryOpHasARow) {
  std::set<std::string> tested;
  for (const Row& row : rows()) tested.insert(row.name.substr(0, row.name.find(':')));
  for (std::string_view name : op_names()) EXPECT_TRUE(tested.contains(std::string(name))) << name;
}

}  // namespace
}  // namespace folio
