// Forward, gradients and twenty AdamW steps against PyTorch's figures (tests/reference).
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "nn/gpt.h"
#include "tests/device.h"
#include "tests/paths.h"
#include "tests/reference/figures.h"
#include "train/adamw.h"
#include "train/grad_norm.h"

namespace folio {
namespace {

using nlohmann::json;

json parity() {
  std::ifstream in(source_path("tests/reference/parity.json"));
  return json::parse(in);
}

class Parity : public testing::TestWithParam<size_t> {};

TEST_P(Parity, LogitsGradientsAndTwentyStepsMatchPyTorch) {
  json all = parity();
  const json& expected = all.at("cases").at(GetParam());
  const json& shape = expected.at("model");
  Gpt model({.block_size = shape.at("block_size"),
             .vocab_size = shape.at("vocab_size"),
             .n_layer = shape.at("n_layer"),
             .n_head = shape.at("n_head"),
             .n_embd = shape.at("n_embd"),
             .bias = expected.at("bias"),
             .activation = expected.at("gelu") == "gelu_tanh" ? gelu_tanh_op : gelu_erf_op},
            test_device(), 1);
  std::map<std::string, Array> weights;
  for (const json& spec : expected.at("weights"))
    weights[spec.at("name")] = reference::values_of(spec);
  model.parameters([&](const std::string& name, Parameter& p) { p.assign(weights.at(name)); });

  const json& o = all.at("optimizer");
  AdamW optimizer(
      model,
      {.beta1 = o.at("beta1"), .beta2 = o.at("beta2"), .weight_decay = o.at("weight_decay")});
  const json& batches = expected.at("batches");
  for (size_t step = 0; step < expected.at("losses").size(); ++step) {
    const json& batch = batches[step % batches.size()];
    Array tokens = reference::tokens_of(batch.at("tokens"));
    if (step == 0) {
      NoGrad no_grad;
      reference::expect_excerpt(model(tokens).array(), expected.at("logits"), "logits ");
    }
    Tensor loss = model.loss(tokens, reference::tokens_of(batch.at("targets")));
    loss.backward();
    if (step == 0) {
      model.parameters([&](const std::string& name, Parameter& p) {
        reference::expect_excerpt(p.grad(), expected.at("gradients").at(name), name + " ");
      });
    }
    Array norm = grad_norm(model);
    EXPECT_NEAR(item(norm), expected.at("grad_norms")[step].get<double>(),
                1e-4 * expected.at("grad_norms")[step].get<double>());
    optimizer.step(o.at("learning_rate"), backend(norm).clip_scale(norm, o.at("grad_clip")));
    optimizer.zero_grad();
    EXPECT_NEAR(item(loss.array()), expected.at("losses")[step].get<double>(), 1e-4) << step;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Parity, testing::Range<size_t>(0, parity().at("cases").size()), [](const auto& info) {
      return parity().at("cases").at(info.param).at("name").template get<std::string>();
    });

}  // namespace
}  // namespace folio
