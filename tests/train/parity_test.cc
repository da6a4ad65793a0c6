// Forward, gradients and twenty AdamW steps against PyTorch's figures (tests/reference).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "nn/gpt.h"
#include "tests/core/arrays.h"
#include "tests/device.h"
#include "tests/paths.h"
#include "tests/reference/model_of.h"
#include "train/optimizer/adamw.h"

namespace folio {
namespace {

using nlohmann::json;

json parity() {
  std::ifstream in(source_path("tests/reference/parity.json"));
  return json::parse(in);
}

class Parity : public testing::TestWithParam<size_t> {
 protected:
  std::unique_ptr<Gpt> model() const { return reference::model_of(expected); }
  AdamW optimizer_of(Gpt& gpt) const {
    return {gpt, {.beta1 = o.at("beta1"), .beta2 = o.at("beta2")}};
  }
  // The norm of the gradients before they were clipped.
  double update(Gpt& gpt, AdamW& optimizer) const {
    Array norm = grad_norm(gpt);
    optimizer.step({.learning_rate = o.at("learning_rate"), .weight_decay = o.at("weight_decay")},
                   backend(norm)->optimizer.clip_scale(norm, o.at("grad_clip")));
    optimizer.zero_grad();
    return item(norm);
  }
  Array ids(size_t step, const char* which) const {
    const json& batches = expected.at("batches");
    return reference::tokens_of(batches[step % batches.size()].at(which));
  }

  const json all = parity();
  const json& expected = all.at("cases").at(GetParam());
  const json& o = all.at("optimizer");
};

TEST_P(Parity, LogitsGradientsAndTwentyStepsMatchPyTorch) {
  auto gpt = model();
  AdamW optimizer = optimizer_of(*gpt);
  for (size_t step = 0; step < expected.at("losses").size(); ++step) {
    if (step == 0) {
      NoGrad no_grad;
      reference::expect_excerpt((*gpt)(ids(step, "tokens")).array(), expected.at("logits"),
                                "logits ");
    }
    Tensor loss = gpt->loss(ids(step, "tokens"), ids(step, "targets"));
    loss.backward();
    if (step == 0) {
      gpt->parameters([&](const std::string& name, Parameter& p) {
        reference::expect_excerpt(p.grad(), expected.at("gradients").at(name), name + " ");
      });
    }
    const double norm = expected.at("grad_norms")[step];
    EXPECT_NEAR(update(*gpt, optimizer), norm, 1e-4 * norm);
    EXPECT_NEAR(item(loss.array()), expected.at("losses")[step].get<double>(), 1e-4) << step;
  }
}

// Both round to bf16, but not in the same places: each is as far from the losses in f32 as
// PyTorch's own are at the most, so the two are within twice that of each other.
TEST_P(Parity, TwentyStepsInBf16MatchPyTorch) {
  if (!expected.contains("bfloat16_losses")) GTEST_SKIP() << "PyTorch's were not written";
  const json &f32 = expected.at("losses"), &bf16 = expected.at("bfloat16_losses");
  double rounding = 0;
  for (size_t step = 0; step < bf16.size(); ++step)
    rounding = std::max(rounding, std::abs(bf16[step].get<double>() - f32[step].get<double>()));
  with_and_without_tiles([&] {
    auto gpt = model();
    gpt->context().dtype = DType::bf16;
    AdamW optimizer = optimizer_of(*gpt);
    for (size_t step = 0; step < bf16.size(); ++step) {
      Tensor loss = gpt->loss(ids(step, "tokens"), ids(step, "targets"));
      loss.backward();
      update(*gpt, optimizer);
      EXPECT_NEAR(item(loss.array()), bf16[step].get<double>(), 2 * rounding) << step;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Parity, testing::Range<size_t>(0, parity().at("cases").size()), [](const auto& info) {
      return parity().at("cases").at(info.param).at("name").template get<std::string>();
    });

}  // namespace
}  // namespace folio
