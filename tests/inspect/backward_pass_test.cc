#include "inspect/backward_pass.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "autograd/ops.h"
#include "autograd/tape_observer.h"
#include "tests/inspect/models.h"

namespace folio {
namespace {

using Values = std::map<std::string, std::vector<float>>;

Values parameters_of(Gpt& model) {
  Values values;
  model.parameters(
      [&](const std::string& name, Parameter& p) { values[name] = on_host(p.array()).values; });
  return values;
}

double norm(const std::vector<float>& values) {
  double sum = 0;
  for (float x : values) sum += double(x) * x;
  return std::sqrt(sum);
}

TEST(BackwardPass, HasTheGradientsOfTheFusedModel) {
  for (const auto& [name, config] : inspected_models()) {
    SCOPED_TRACE(name);
    Gpt model(config, test_device());
    draw(model);
    const BackwardPass pass = backward_pass(model, ten_tokens());
    std::vector<int32_t> x = ten_tokens(), y(x.begin() + 1, x.end());
    x.pop_back();
    Tensor loss = model.loss(batch_of(model, x), batch_of(model, y));
    loss.backward();
    EXPECT_NEAR(pass.loss, item(loss.array()), 1e-5);
    size_t i = 0;
    double sum = 0;
    model.parameters([&](const std::string& parameter, Parameter& p) {
      const std::vector<float> gradient = on_host(p.grad()).values;
      const ParameterStep& step = pass.parameters.at(i++);
      EXPECT_EQ(step.name, parameter);
      EXPECT_NEAR(step.gradient_norm, norm(gradient), 1e-5 * (1 + norm(gradient)));
      EXPECT_EQ(step.update_norm, 0);
      int64_t counted = step.zeros;
      for (int64_t count : step.histogram) counted += count;
      EXPECT_EQ(counted, p.shape().size());
      sum += step.gradient_norm * step.gradient_norm;
    });
    EXPECT_EQ(i, pass.parameters.size());
    EXPECT_NEAR(pass.gradient_norm, std::sqrt(sum), 1e-6 * pass.gradient_norm);
  }
}

TEST(BackwardPass, LeavesTheModelAsItWasAndSaysHowFarTheStepWent) {
  Gpt model(inspected_models()[0].second, test_device());
  draw(model);
  const Values before = parameters_of(model);
  const BackwardPass pass = backward_pass(model, ten_tokens(), [&] {
    model.parameters([](const std::string&, Parameter& p) {
      std::vector<float> values = on_host(p.array()).values;
      for (float& x : values) x *= 1.25f;
      p.assign(to_array(values, p.shape()));
    });
  });
  EXPECT_EQ(parameters_of(model), before);
  for (const ParameterStep& step : pass.parameters) {
    EXPECT_NEAR(step.weight_norm, norm(before.at(step.name)), 1e-6 * step.weight_norm);
    EXPECT_NEAR(step.update_norm, 0.25 * step.weight_norm, 1e-5 * step.weight_norm);
  }
  model.parameters(
      [](const std::string& name, Parameter& p) { EXPECT_FALSE(p.grad().defined()) << name; });
}

TEST(BackwardPass, CountsMagnitudesByHalfDecades) {
  Gpt model(inspected_models()[0].second, test_device());
  draw(model);
  const BackwardPass pass = backward_pass(model, std::vector<int32_t>{3, 1});
  // Of the position embedding only the first row is read.
  const ParameterStep& wpe = pass.parameters.at(1);
  ASSERT_EQ(wpe.name, "transformer.wpe.weight");
  EXPECT_EQ(wpe.zeros, 11 * 16);
  capture_step(model, std::vector<int32_t>{3, 1});
  std::vector<int64_t> expected(ParameterStep::bins, 0);
  int at = 0;
  model.parameters([&](const std::string&, Parameter& p) {
    if (at++ != 1) return;
    for (float x : on_host(p.grad()).values)
      if (x != 0) ++expected[size_t(std::floor(2 * (std::log10(std::abs(double(x))) + 12)))];
  });
  EXPECT_EQ(wpe.histogram, expected);
}

TEST(BackwardPass, TheTapeIsCutIntoThePartsOfTheModel) {
  Gpt model(inspected_models()[0].second, test_device());
  draw(model);
  const BackwardPass pass = backward_pass(model, ten_tokens());
  std::vector<std::string> parts;
  for (const TapeEntry& op : pass.tape)
    if (parts.empty() || parts.back() != op.part) parts.push_back(op.part);
  EXPECT_EQ(parts, (std::vector<std::string>{"embedding", "h.0.attn", "h.0.mlp", "h.1.attn",
                                             "h.1.mlp", "head"}));
  auto names = [&](const std::string& part) {
    std::vector<std::string> found;
    for (const TapeEntry& op : pass.tape)
      if (op.part == part && op.point.empty()) found.push_back(op.name);
    return found;
  };
  EXPECT_EQ(names("embedding"), std::vector<std::string>{"embedding"});
  EXPECT_EQ(names("h.1.mlp"),
            (std::vector<std::string>{"norm", "linear", "elementwise", "linear", "add_dropout"}));
  EXPECT_THAT(names("h.0.attn"), testing::IsSupersetOf({"matmul", "scale", "causal_mask", "softmax",
                                                        "transpose", "reshape", "slice"}));
  EXPECT_THAT(names("head"),
              testing::IsSupersetOf({"norm", "linear", "log_softmax", "pick", "sum"}));
  // Each op reads what came before it, a parameter or a constant.
  for (const TapeEntry& op : pass.tape)
    for (int64_t input : op.inputs) EXPECT_LT(input, op.order);
  EXPECT_EQ(std::ranges::count_if(pass.tape, [](auto& op) { return !op.point.empty(); }), 21);
  EXPECT_EQ(pass.points.size(), 21u);
}

TEST(TapeObserver, HearsOfWhatIsRecordedWhileItLives) {
  struct Names : TapeObserver {
    void recorded(const RecordedOp& op) override {
      names.push_back(short_name(op.function));
      inputs.push_back(op.inputs);
      shapes.push_back(op.results.at(0));
    }
    std::vector<std::string> names;
    std::vector<std::vector<int64_t>> inputs;
    std::vector<Shape> shapes;
  };
  const Tensor leaf = Tensor::leaf(full({2, 3}, 1, DType::f32, test_device()));
  const Tensor constant = full({2, 3}, 2, DType::f32, test_device());
  {
    Names seen;
    const Tensor y = scale(softmax(leaf + constant), 2);
    const Tensor both = concat({y, leaf}, 0);
    {
      NoGrad no_grad;
      softmax(leaf);
    }
    EXPECT_EQ(seen.names, (std::vector<std::string>{"add", "softmax", "scale", "concat"}));
    EXPECT_EQ(seen.inputs[0], (std::vector<int64_t>{0, -1}));
    EXPECT_EQ(seen.inputs[3][1], 0);
    EXPECT_GT(seen.inputs[3][0], seen.inputs[1][0]);
    EXPECT_EQ(seen.shapes[3], (Shape{4, 3}));
  }
  EXPECT_EQ(TapeObserver::active(), nullptr);
  softmax(leaf);
}

}  // namespace
}  // namespace folio
