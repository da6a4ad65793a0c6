// What an export can say of a model, field by field.
#include "checkpoint/hugging_face_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/check.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// A model's fields as they would be with one more, of which config.json says nothing.
struct CappedConfig : GptConfig {
  double soft_cap = 0;
};
template <class F>
void each_field(const CappedConfig& config, F&& f) {
  folio::each_field(static_cast<const GptConfig&>(config), f);
  f("soft_cap", config.soft_cap, "logits stay below it; 0: no limit");
}

TEST(HuggingFaceConfig, AFieldThatIsNotSaidIsADifferenceUnlessItHasItsDefault) {
  CappedConfig model, back;
  EXPECT_TRUE(differences(model, back).empty());
  model.soft_cap = 30;
  ASSERT_EQ(differences(model, back).size(), 1u);
  EXPECT_EQ(differences(model, back)[0].field, "soft_cap");
  EXPECT_EQ(differences(model, back)[0].value, "30");
  EXPECT_EQ(differences(model, back)[0].other, "0");
  back.soft_cap = 30;
  EXPECT_TRUE(differences(model, back).empty());
  back.n_head = 6;
  EXPECT_EQ(differences(model, back).at(0).value, "12");
}

GptConfig a_llama() {
  return {.vocab_size = 65,
          .n_layer = 2,
          .n_head = 6,
          .n_embd = 48,
          .bias = false,
          .activation = Activation::swiglu(),
          .position = "rotary",
          .norm = "rms"};
}
GptConfig a_qwen3() {
  GptConfig config = a_llama();
  config.qk_norm = "rms_learned";
  return config;
}

GptConfig read_back(const LayoutConfig& config) {
  return std::visit([](const auto& one) { return gpt_config(one); }, config);
}

// `model` with that field changed.
GptConfig with_other(GptConfig model, std::string_view changed) {
  each_field(model, [&](std::string_view name, auto& field, auto) {
    if (name != changed) return;
    using Field = std::remove_reference_t<decltype(field)>;
    if constexpr (std::is_same_v<Field, Activation>) field = unary<Relu>();
    if constexpr (std::is_same_v<Field, bool>) field = !field;
    if constexpr (std::is_same_v<Field, int64_t>) field = field == 0 ? 2 : 2 * field;
    if constexpr (std::is_same_v<Field, std::string>) field = "other";
    if constexpr (std::is_same_v<Field, double>) field += 0.25;
  });
  return model;
}

// Every field, changed, comes back from an export, or is one that may differ, or an error names it.
// -> those that are refused
std::vector<std::string> refused(const GptConfig& from) {
  std::vector<std::string> fields;
  each_field(from, [&](std::string_view changed, auto&, auto) {
    GptConfig model = with_other(from, changed), back;
    try {
      back = read_back(export_config(model, model.vocab_size));
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), AllOf(HasSubstr(fmt::format("the model has {} = ", changed)),
                                      HasSubstr("Exported are GPT-2s")));
      fields.emplace_back(changed);
      return;
    }
    if (changed == "dropout") model.dropout = back.dropout;  // of training
    if (changed == "residual_init") model.residual_init = back.residual_init;
    if (from.position == "learned" && changed == "bias")
      model.bias = back.bias;  // zeros are written
    const bool scales = from.position == "rotary" && model.rope_factor != 1;
    if (changed.starts_with("rope_") && !scales) {  // nothing reads these
      if (from.position == "learned") model.rope_theta = back.rope_theta;
      if (from.position == "learned") model.rope_factor = back.rope_factor;
      model.rope_low_freq_factor = back.rope_low_freq_factor;
      model.rope_high_freq_factor = back.rope_high_freq_factor;
      model.rope_original_context = back.rope_original_context;
    }
    // A Llama's sizes come back spelt out.
    EXPECT_EQ(model.heads(), back.heads()) << changed;
    EXPECT_EQ(model.hidden(), back.hidden()) << changed;
    back.head_dim = model.head_dim, back.n_kv_head = model.n_kv_head;
    back.ffn_hidden = model.ffn_hidden;
    EXPECT_TRUE(differences(model, back).empty()) << changed;
  });
  return fields;
}

TEST(HuggingFaceConfig, EveryFieldIsSaidOrRefused) {
  EXPECT_THAT(
      refused({.bias = true}),
      testing::ElementsAre("position", "norm", "norm_eps", "qk_norm", "ffn_hidden", "head_dim",
                           "n_kv_head", "attention_window", "tie_weights", "logit_softcap"));
  EXPECT_THAT(refused(a_llama()), testing::ElementsAre("activation", "position", "norm", "qk_norm",
                                                       "attention_window", "logit_softcap"));
  GptConfig scaled = a_llama();
  scaled.rope_factor = 8;
  EXPECT_THAT(refused(scaled), testing::Contains("logit_softcap"));
  EXPECT_THAT(refused(a_qwen3()), testing::ElementsAre("bias", "activation", "position", "norm",
                                                       "qk_norm", "logit_softcap"));
}

TEST(HuggingFaceConfig, TheOptionsChooseTheLayout) {
  EXPECT_EQ(architecture(export_config({}, 65)), "GPT2LMHeadModel");
  EXPECT_EQ(architecture(export_config(a_llama(), 65)), "LlamaForCausalLM");
  EXPECT_EQ(architecture(export_config(a_qwen3(), 65)), "Qwen3ForCausalLM");
  // Sizes are what they are, said or not.
  GptConfig gpt2{.ffn_hidden = 4 * 768, .head_dim = 64, .n_kv_head = 12};
  EXPECT_EQ(architecture(export_config(gpt2, 65)), "GPT2LMHeadModel");
}

TEST(HuggingFaceConfig, ARefusalSaysWhatEachOfTheNearestHas) {
  auto error = [](const GptConfig& config) {
    return message_of([&] { export_config(config, config.vocab_size); });
  };
  GptConfig model = a_llama();
  model.attention_window = 8;
  EXPECT_THAT(
      error(model),
      AllOf(HasSubstr("the model has attention_window = 8; a Llama of Hugging Face's has 0"),
            HasSubstr("the model has qk_norm = off; a Qwen3 of Hugging Face's has "
                      "rms_learned"),
            Not(HasSubstr("a GPT-2 of"))));
  model = a_llama();
  model.qk_norm = "rms";
  model.position = "none";
  EXPECT_THAT(error(model),
              AllOf(HasSubstr("position = none; a Llama of Hugging Face's has rotary"),
                    HasSubstr("qk_norm = rms; a Llama of Hugging Face's has off")));
}

// What transformers refuses itself, or computes wrongly.
TEST(HuggingFaceConfig, TransformersOwnLimitsAreErrors) {
  GptConfig model = a_llama();
  model.n_embd = 50, model.head_dim = 8;
  EXPECT_THAT(message_of([&] { export_config(model, 65); }),
              HasSubstr("the model has n_head = 6; a Llama of Hugging Face's has one that divides "
                        "n_embd, 50"));
  model.qk_norm = "rms_learned";
  EXPECT_EQ(architecture(export_config(model, 65)), "Qwen3ForCausalLM");
  model.attention_window = 1;
  EXPECT_THAT(message_of([&] { export_config(model, 65); }),
              HasSubstr("attention_window = 1; a Qwen3 of Hugging Face's has 0 or at least 2"));
}

}  // namespace
}  // namespace folio
