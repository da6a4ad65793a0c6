// Muon against PyTorch's figures (tests/reference/make_muon.py): single matrices, and twenty
// losses.
#include "train/optimizer/muon.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "nn/gpt.h"
#include "tests/device.h"
#include "tests/paths.h"
#include "tests/reference/figures.h"

namespace folio {
namespace {

using nlohmann::json;

const json& figures() {
  static const json all = json::parse(std::ifstream(source_path("tests/reference/muon.json")));
  return all;
}

// The figures are f64's; an excerpt is met within 1e-4 of an element's size, f32 being f32.
TEST(MuonOfAMatrix, TwoStepsMatchPyTorch) {
  const json& o = figures().at("muon");
  const Array scale = full({}, o.at("grad_scale"), DType::f32, test_device());
  for (const json& expected : figures().at("matrices")) {
    MuonSlot slot{.param = reference::values_of(expected.at("param")),
                  .grad = {},
                  .momentum = {},
                  .rows = expected.at("rows").get<std::vector<int64_t>>(),
                  .weight_decay = o.at("weight_decay")};
    slot.momentum = zeros(slot.param.shape(), DType::f32, test_device());
    for (const json& grad : expected.at("grads")) {
      slot.grad = reference::values_of(grad);
      test_backend()->optimizer.muon(std::vector{slot}, {.learning_rate = o.at("learning_rate"),
                                                         .momentum = o.at("momentum"),
                                                         .grad_scale = scale});
    }
    const std::string name = fmt::format("{} ", slot.param.shape());
    reference::expect_excerpt(slot.param, expected.at("updated"), name + "param ");
    reference::expect_excerpt(slot.momentum, expected.at("momentum"), name + "momentum ");
  }
}

class MuonParity : public testing::TestWithParam<size_t> {
 protected:
  std::vector<double> losses(DType dtype) const {
    const json &shape = expected.at("model"), &o = figures().at("optimizer"),
               &of_muon = figures().at("muon");
    Gpt gpt({.block_size = shape.at("block_size"),
             .vocab_size = shape.at("vocab_size"),
             .n_layer = shape.at("n_layer"),
             .n_head = shape.at("n_head"),
             .n_embd = shape.at("n_embd"),
             .bias = expected.at("bias")},
            test_device(), 1);
    std::map<std::string, Array> weights;
    for (const json& spec : expected.at("weights"))
      weights[spec.at("name")] = reference::values_of(spec);
    gpt.parameters([&](const std::string& name, Parameter& p) { p.assign(weights.at(name)); });
    gpt.context().dtype = dtype;
    Muon optimizer(gpt, {.beta1 = o.at("beta1"), .beta2 = o.at("beta2")}, dtype);
    const Rates rates{.learning_rate = o.at("learning_rate"),
                      .muon_lr = of_muon.at("learning_rate"),
                      .momentum = of_muon.at("momentum"),
                      .weight_decay = o.at("weight_decay")};
    std::vector<double> losses;
    for (size_t step = 0; step < 20; ++step) {
      const json& batch = expected.at("batches").at(step % expected.at("batches").size());
      Tensor loss = gpt.loss(reference::tokens_of(batch.at("tokens")),
                             reference::tokens_of(batch.at("targets")));
      loss.backward();
      Array norm = grad_norm(gpt);
      optimizer.step(rates, backend(norm)->optimizer.clip_scale(norm, o.at("grad_clip")));
      optimizer.zero_grad();
      losses.push_back(item(loss.array()));
    }
    return losses;
  }

  const json& expected = figures().at("cases").at(GetParam());
};

// As near as AdamW's: five steps of the iteration magnify f32's rounding of a direction no more
// than the direction, and PyTorch's losses in f32 and f64 differ by less than 1e-6.
TEST_P(MuonParity, TwentyLossesMatchPyTorch) {
  const std::vector<double> ours = losses(DType::f32);
  for (size_t step = 0; step < ours.size(); ++step) {
    const double f32 = expected.at("losses")[step], f64 = expected.at("float64_losses")[step];
    EXPECT_NEAR(f32, f64, 1e-6) << step;
    EXPECT_NEAR(ours[step], f64, 1e-4) << step;
  }
}

// As AdamW's in bf16 (parity_test.cc): each is as far from the losses in f64 as PyTorch's own are
// at the most, so the two are within twice that of each other.
TEST_P(MuonParity, TwentyLossesInBf16MatchPyTorch) {
  const std::vector<double> ours = losses(DType::bf16);
  const json &f64 = expected.at("float64_losses"), &bf16 = expected.at("bfloat16_losses");
  double rounding = 0;
  for (size_t step = 0; step < bf16.size(); ++step)
    rounding = std::max(rounding, std::abs(bf16[step].get<double>() - f64[step].get<double>()));
  for (size_t step = 0; step < ours.size(); ++step)
    EXPECT_NEAR(ours[step], bf16[step].get<double>(), 2 * rounding) << step;
}

INSTANTIATE_TEST_SUITE_P(
    Cases, MuonParity, testing::Range<size_t>(0, figures().at("cases").size()),
    [](const auto& info) {
      return figures().at("cases").at(info.param).at("name").template get<std::string>();
    });

// Who updates what is what the modules say of their parameters.
TEST(MuonOfAModel, TakesTheMatricesOfTheBlocksAlone) {
  Gpt gpt({.block_size = 8, .vocab_size = 5, .n_layer = 1, .n_head = 1, .n_embd = 8}, test_device(),
          1);
  std::map<std::string, std::vector<int64_t>> hidden;
  gpt.hidden_matrices([&](const std::string& name, auto& rows) { hidden[name] = rows; });
  const std::string block = "transformer.h.0.";
  EXPECT_EQ(hidden,
            (std::map<std::string, std::vector<int64_t>>{{block + "attn.c_attn.weight", {8, 8, 8}},
                                                         {block + "attn.c_proj.weight", {8}},
                                                         {block + "mlp.c_fc.weight", {32}},
                                                         {block + "mlp.c_proj.weight", {8}}}));
  Muon optimizer(gpt, {});
  gpt.parameters([&](const std::string& name, Parameter&) {
    EXPECT_EQ(optimizer.state.contains("muon/momentum/" + name), hidden.contains(name)) << name;
    EXPECT_EQ(optimizer.state.contains("adamw/m/" + name), !hidden.contains(name)) << name;
    EXPECT_EQ(optimizer.state.contains("adamw/v/" + name), !hidden.contains(name)) << name;
  });
}

}  // namespace
}  // namespace folio
