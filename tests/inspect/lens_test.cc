// The logit lens and what parts add to a logit, against the model itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "inspect/contributions.h"
#include "inspect/logit_lens.h"
#include "tests/inspect/models.h"

namespace folio {
namespace {

class Lens : public testing::TestWithParam<int> {
 protected:
  void SetUp() override { draw(model); }
  GptConfig config = inspected_models()[size_t(GetParam())].second;
  Gpt model{config, test_device()};
  std::vector<int32_t> tokens = ten_tokens();
};

TEST_P(Lens, EndsWithWhatTheModelSays) {
  const Captures seen = capture(model, tokens);
  const LogitLens lens = logit_lens(model, seen, 11);
  EXPECT_EQ(lens.points, (std::vector<std::string>{"embedding", "h.0.residual", "h.0.output",
                                                   "h.1.residual", "h.1.output"}));
  double sum = 0;
  for (size_t t = 0; t + 1 < tokens.size(); ++t) {
    const std::vector<double> p = softmax_of(seen.at("logits").row(int64_t(t)));
    const double next = p[size_t(tokens[t + 1])];
    EXPECT_NEAR(lens.probability.back()[t], next, 1e-6);
    EXPECT_EQ(lens.rank.back()[t], std::ranges::count_if(p, [&](double x) { return x > next; }));
    EXPECT_NEAR(lens.loss[t], -std::log(next), 1e-5);
    EXPECT_NEAR(lens.top.back()[t][0].probability, *std::ranges::max_element(p), 1e-6);
    sum += lens.loss[t];
  }
  EXPECT_NEAR(sum / 9, capture_step(model, tokens).loss, 1e-5);
}

TEST_P(Lens, ReadsTheStreamOnItsWayAsIfItWereTheEnd) {
  const Captures seen = capture(model, tokens);
  const LogitLens lens = logit_lens(model, seen, 11);
  NoGrad no_grad;
  const HostArray& x = seen.at("h.0.residual");
  const HostArray logits =
      on_host(model.head(Tensor(to_array(x.values, {1, 10, config.n_embd}))).array());
  for (int64_t t = 0; t < 10; ++t) {
    const std::vector<double> p = softmax_of(logits.row(t));
    const auto& top = lens.top[1][size_t(t)];
    ASSERT_EQ(top.size(), 5u);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_NEAR(top[i].probability, p[size_t(top[i].id)], 1e-6);
      if (i > 0) {
        EXPECT_GE(top[i - 1].probability, top[i].probability);
      }
    }
  }
}

TEST_P(Lens, FollowsEveryTokenThatLeadsSomewhere) {
  const LogitLens lens = logit_lens(model, capture(model, tokens), 11);
  for (size_t t = 0; t < 10; ++t) {
    EXPECT_TRUE(std::ranges::is_sorted(lens.leaders[t]));
    for (size_t point = 0; point < 5; ++point) {
      const LensToken& best = lens.top[point][t][0];
      const auto at = std::ranges::find(lens.leaders[t], best.id);
      ASSERT_NE(at, lens.leaders[t].end());
      const auto i = size_t(at - lens.leaders[t].begin());
      EXPECT_NEAR(lens.leader_probability[t][point][i], best.probability, 1e-6);
    }
  }
}

// Rows of the model beyond the tokenizer's tokens are no answers.
TEST_P(Lens, LeavesOutRowsWithoutAToken) {
  std::vector<int32_t> few{1, 2, 3, 2, 1};
  const LogitLens lens = logit_lens(model, capture(model, few), 4, 9);
  for (const auto& position : lens.top[3]) {
    double sum = 0;
    ASSERT_EQ(position.size(), 4u);
    for (const LensToken& token : position) sum += token.probability;
    EXPECT_NEAR(sum, 1, 1e-9);
  }
}

TEST_P(Lens, PartsSumToTheLogit) {
  const Captures seen = capture(model, tokens);
  const Contributions parts = contributions(model, seen, 11);
  const double cap = config.logit_softcap;
  EXPECT_EQ(std::ranges::count(parts.parts, "h.1.mlp"), 1);
  EXPECT_EQ(std::ranges::count(parts.parts, "ln_f.bias"), config.bias ? 1 : 0);
  for (size_t t = 0; t < 10; ++t) {
    double sum = 0;
    for (const auto& part : parts.values) sum += part[t];
    EXPECT_NEAR(sum, parts.logits[t], 1e-4);
    const double logit = seen.at("logits").row(int64_t(t))[size_t(parts.targets[t])];
    EXPECT_NEAR(cap > 0 ? cap * std::tanh(sum / cap) : sum, logit, 1e-4);
    if (t < 9) {
      EXPECT_EQ(parts.targets[t], tokens[t + 1]);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Lens, testing::Values(0, 1), [](const auto& info) {
  return inspected_models()[size_t(info.param)].first;
});

// A head whose rows of c_proj are zero adds nothing; the others what they did.
TEST(Contributions, OfAHeadThatWritesNothingAreZero) {
  Gpt model(inspected_models()[0].second, test_device());
  draw(model);
  model.parameters([&](const std::string& name, Parameter& p) {
    if (name != "transformer.h.1.attn.c_proj.weight") return;
    std::vector<float> values = on_host(p.array()).values;
    for (size_t row = 0; row < 16; ++row)
      std::fill_n(values.begin() + std::ptrdiff_t(row * 16 + 8), 8, 0.0f);  // head 1's columns
    p.assign(to_array(values, p.shape()));
  });
  const Contributions parts = contributions(model, capture(model, ten_tokens()), 11);
  for (size_t i = 0; i < parts.parts.size(); ++i)
    for (double value : parts.values[i])
      EXPECT_EQ(value == 0, parts.parts[i] == "h.1.head.1") << parts.parts[i];
}

}  // namespace
}  // namespace folio
