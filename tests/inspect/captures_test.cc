#include "inspect/captures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "inspect/hook_names.h"
#include "tests/inspect/models.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

TEST(Captures, AreThePlainModelsAndNearTheFusedOne) {
  for (const auto& [name, config] : inspected_models()) {
    SCOPED_TRACE(name);
    Gpt model(config, test_device());
    draw(model);
    const Captures seen = capture(model, ten_tokens());
    EXPECT_EQ(model.context().watcher, nullptr);
    EXPECT_EQ(seen.points.size(), 1u + 2 * 9 + 2);
    EXPECT_EQ(seen.at(1, "attn.probabilities").shape,
              (std::vector<int64_t>{config.n_head, 10, 10}));
    EXPECT_EQ(seen.at("logits").shape, (std::vector<int64_t>{10, 11}));
    NoGrad no_grad;
    model.context().plain = true;
    EXPECT_EQ(seen.at("logits").values,
              on_host(model(batch_of(model, ten_tokens())).array()).values);
    model.context().plain = false;
    const double distance = fused_difference(model, seen);
    EXPECT_LT(distance, 1e-5);
    EXPECT_GT(distance, 0);
  }
}

// A query sees itself and what came before, in a window if there is one.
TEST(Captures, AttentionIsCausalAndSumsToOne) {
  for (const auto& [name, config] : inspected_models()) {
    Gpt model(config, test_device());
    draw(model);
    const HostArray p = capture(model, ten_tokens()).at(0, "attn.probabilities");
    for (int64_t row = 0; row < p.dim(0) * 10; ++row) {
      const int64_t t = row % 10, first = config.heads().first_seen(t);
      double sum = 0;
      for (int64_t key = 0; key < 10; ++key) {
        if (key < first || key > t)
          EXPECT_EQ(p.row(row)[size_t(key)], 0) << name << row;
        else
          sum += p.row(row)[size_t(key)];
      }
      EXPECT_NEAR(sum, 1, 1e-6);
    }
  }
}

TEST(Captures, OfAStepHaveTheGradientsOfTheLoss) {
  Gpt model(inspected_models()[0].second, test_device());
  draw(model);
  const std::vector<int32_t> tokens = ten_tokens();
  const Captures step = capture_step(model, tokens);
  EXPECT_EQ(step.tokens.size(), 9u);
  // The gradient of a cross-entropy by the logits: (softmax - 1 at the target) / T.
  double loss = 0;
  for (int64_t t = 0; t < 9; ++t) {
    std::vector<double> p = softmax_of(step.at("logits").row(t));
    const auto next = size_t(tokens[size_t(t + 1)]);
    loss -= std::log(p[next]) / 9;
    p[next] -= 1;
    for (size_t v = 0; v < p.size(); ++v)
      EXPECT_NEAR(step.gradients.at("transformer.logits").row(t)[v], p[v] / 9, 1e-6);
  }
  EXPECT_NEAR(step.loss, loss, 1e-5);
  EXPECT_EQ(step.gradients.size(), step.values.size());
}

TEST(Captures, ATextThatCannotBeReadIsAnError) {
  Gpt model(inspected_models()[0].second, test_device());
  draw(model);
  EXPECT_THAT(message_of([&] { capture(model, std::vector<int32_t>(13, 1)); }),
              HasSubstr("block_size is 12"));
  EXPECT_THAT(message_of([&] { capture(model, std::vector<int32_t>{1, 11}); }), HasSubstr("11"));
  EXPECT_THAT(message_of([&] { capture_step(model, std::vector<int32_t>{1}); }),
              HasSubstr("two tokens or more, got 1"));
  EXPECT_EQ(model.context().watcher, nullptr);
}

TEST(HookNames, HaveTransformerLensShapesAndSums) {
  for (const auto& [name, config] : inspected_models()) {
    Gpt model(config, test_device());
    draw(model);
    const Captures seen = capture(model, ten_tokens());
    std::map<std::string, HookArray> hooks;
    for (const HookArray& hook : hook_arrays(config, seen)) hooks[hook.name] = hook;
    const int64_t H = config.n_head, D = config.heads().width;
    const std::string q = name == "modern" ? "hook_rot_q" : "hook_q";
    ASSERT_TRUE(hooks.contains("blocks.0.attn." + q));
    EXPECT_EQ(hooks["blocks.0.attn." + q].shape, (std::vector<int64_t>{1, 10, H, D}));
    EXPECT_EQ(hooks["blocks.0.attn.hook_v"].shape,
              (std::vector<int64_t>{1, 10, config.heads().n_kv_head, D}));
    EXPECT_EQ(hooks["blocks.1.attn.hook_pattern"].shape, (std::vector<int64_t>{1, H, 10, 10}));
    // z = pattern v, head by head: attention's output from what else is in the file.
    const std::vector<float>&v = hooks["blocks.1.attn.hook_v"].values,
          &p = hooks["blocks.1.attn.hook_pattern"].values,
          &z = hooks["blocks.1.attn.hook_z"].values;
    const int64_t K = config.heads().n_kv_head;
    for (int64_t t = 0; t < 10; ++t)
      for (int64_t h = 0; h < H; ++h) {
        double sum = 0;
        for (int64_t key = 0; key < 10; ++key)
          sum += p[size_t((h * 10 + t) * 10 + key)] * v[size_t((key * K + h * K / H) * D + 3)];
        EXPECT_NEAR(z[size_t((t * H + h) * D + 3)], sum, 1e-5);
      }
    // The stream after a block is the sum of what went in and what its two layers add.
    const auto &pre = hooks["blocks.1.hook_resid_pre"], &post = hooks["blocks.1.hook_resid_post"];
    EXPECT_EQ(pre.values, hooks["blocks.0.hook_resid_post"].values);
    for (size_t i = 0; i < pre.values.size(); ++i)
      EXPECT_NEAR(post.values[i],
                  pre.values[i] + hooks["blocks.1.hook_attn_out"].values[i] +
                      hooks["blocks.1.hook_mlp_out"].values[i],
                  1e-5);
  }
}

}  // namespace
}  // namespace folio
