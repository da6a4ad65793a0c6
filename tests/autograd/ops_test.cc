// Every op of the table: its gradient against central differences in f64, f32 and bf16 against f64
// on every SIMD target, no node under NoGrad; and no op of autograd/ops.h without a row. PyTorch's
// figures for the same ops: reference_test.cc.
#include "autograd/ops.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "tests/autograd/op_table.h"
#include "tests/core/arrays.h"
#include "tests/paths.h"

namespace folio {
namespace {

using Values = std::vector<std::vector<double>>;

Values random_values(const OpRow& row) {
  Values values;
  for (size_t i = 0; i < row.inputs.size(); ++i) {
    values.push_back(normal_values(row.inputs[i].size(), unsigned(i + 1)));
    if (row.positive)
      for (double& value : values.back()) value = 0.25 + std::abs(value);
  }
  return values;
}

std::vector<Tensor> leaves(const OpRow& row, const Values& values, DType dtype) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < values.size(); ++i)
    inputs.push_back(Tensor::leaf(array_of(values[i], row.inputs[i], dtype)));
  return inputs;
}

class Ops : public testing::TestWithParam<OpRow> {};

TEST_P(Ops, GradientMatchesFiniteDifferences) {
  const OpRow& row = GetParam();
  Values values = random_values(row);
  std::vector<Tensor> inputs = leaves(row, values, DType::f64);
  Tensor y = row.op(inputs);
  // Of sum(y * weights).
  std::vector<double> weights = normal_values(y.array().size(), 99);
  y.backward(to_array(weights, y.shape()));

  auto value_at = [&](const Values& at) {
    NoGrad no_grad;
    std::vector<double> host = to_vector<double>(row.op(leaves(row, at, DType::f64)).array());
    double sum = 0;
    for (size_t i = 0; i < host.size(); ++i) sum += host[i] * weights[i];
    return sum;
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

// The result, then the gradient of each input, of an op whose inputs hold `values` in `dtype`.
Values run(const OpRow& row, const Values& values, const std::vector<double>& weights,
           DType dtype) {
  std::vector<Tensor> inputs = leaves(row, values, dtype);
  Tensor y = row.op(inputs);
  y.backward(array_of(weights, y.shape(), y.dtype()));
  Values all{values_of(y.array())};
  for (const Tensor& input : inputs) all.push_back(values_of(input.grad()));
  return all;
}

// The inputs are numbers of the narrow dtype, so that all that differs is the rounding of what is
// worked out. Sums are in f32 and of at most some 30 terms of size 1, products of a few such sums
// follow one another, and at most three results in a row are rounded to the dtype: 16 units in the
// last place of a tensor's largest element are enough for all rows and too few for a wrong one.
void expect_as_in_f64(const OpRow& row, DType dtype, double unit) {
  auto rounded = [dtype](const std::vector<double>& values) {
    return values_of(array_of(values, {int64_t(values.size())}, dtype));
  };
  Values values = random_values(row);
  for (auto& input : values) input = rounded(input);
  const int64_t size = row.op(leaves(row, values, dtype)).array().size();
  const std::vector<double> weights = rounded(normal_values(size, 99));
  const Values narrow = run(row, values, weights, dtype);
  const Values exact = run(row, values, weights, DType::f64);
  for (size_t i = 0; i < exact.size(); ++i) {
    SCOPED_TRACE(i == 0 ? "result" : "gradient of input " + std::to_string(i - 1));
    double largest = 1;
    for (double value : exact[i]) largest = std::max(largest, std::abs(value));
    ASSERT_EQ(narrow[i].size(), exact[i].size());
    for (size_t j = 0; j < exact[i].size(); ++j)
      EXPECT_NEAR(narrow[i][j], exact[i][j], 16 * unit * largest) << "element " << j;
  }
}

TEST_P(Ops, NarrowDtypesMatchF64) {
  on_every_target([] {
    for (auto [dtype, unit] : {std::pair(DType::f32, 0x1p-24), std::pair(DType::bf16, 0x1p-9)}) {
      SCOPED_TRACE(name_of(dtype));
      expect_as_in_f64(GetParam(), dtype, unit);
    }
  });
}

TEST_P(Ops, NoGradRecordsNothing) {
  const OpRow& row = GetParam();
  std::vector<Tensor> inputs = leaves(row, random_values(row), DType::f64);
  EXPECT_TRUE(row.op(inputs).requires_grad());
  NoGrad no_grad;
  EXPECT_FALSE(row.op(inputs).requires_grad());
}

INSTANTIATE_TEST_SUITE_P(Table, Ops, testing::ValuesIn(op_table()), [](const auto& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), ':', '_');
  return name;
});

// What of `pattern` captures in each line of a file of the project.
std::vector<std::smatch> matches(const std::string& text, const std::regex& pattern) {
  return {std::sregex_iterator(text.begin(), text.end(), pattern), std::sregex_iterator()};
}

std::string text_of(const std::string& path) {
  std::ifstream in(source_path(path));
  return {std::istreambuf_iterator<char>(in), {}};
}

// `elementwise` is the name by which all functors go, `norm` that of both norms; each of these has
// a row of its own.
TEST(Ops, EveryOpHasARow) {
  std::set<std::string> offered, tested;
  const std::string header = text_of("autograd/ops.h");
  for (const auto& match : matches(header, std::regex(R"(\n(?:inline )?[A-Z]\w+ (\w+)\()")))
    offered.insert(match[1]);
  for (const char* several : {"elementwise", "norm"}) offered.erase(several);
  for (const OpRow& row : op_table()) tested.insert(row.name.substr(0, row.name.find(':')));
  EXPECT_THAT(offered, testing::ContainerEq(tested));
}

// The table's rows are those of the functors: that `relu` in ops.h is the functor named relu.
TEST(Ops, AFunctorsOpHasItsName) {
  std::map<std::string, std::string> name_of;
  for (const char* path : {"core/unary_ops.h", "core/binary_ops.h"}) {
    const std::string header = text_of(path);
    const std::regex functor(R"(struct (\w+) \{[^\n]*\n[^\n]*string_view name = "(\w+)\")");
    for (const auto& match : matches(header, functor)) name_of[match[1]] = match[2];
  }
  const std::string header = text_of("autograd/ops.h");
  const std::regex op(R"(\ninline Tensor (\w+)\(.*elementwise<(\w+)>)");
  std::set<std::string> checked;
  for (const auto& match : matches(header, op)) {
    EXPECT_EQ(name_of[match[2]], match[1]) << match[2];
    checked.insert(match[1]);
  }
  for_each_op<UnaryOps>([&](auto f) { EXPECT_TRUE(checked.contains(std::string(f.name))); });
}

}  // namespace
}  // namespace folio
