// What an export can say of a model, field by field.
#include "checkpoint/hugging_face_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/check.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

// A model's fields as they would be with one more, of which config.json says nothing.
struct CappedConfig : GptConfig {
  double soft_cap = 0;
};
template <class F>
void each_field(const CappedConfig& config, F&& f) {
  folio::each_field(static_cast<const GptConfig&>(config), f);
  f("soft_cap", config.soft_cap, "logits stay below it; 0: no limit");
}

TEST(HuggingFaceConfig, AFieldThatIsNotSaidIsAnErrorUnlessItHasItsDefault) {
  CappedConfig model, back;
  EXPECT_NO_THROW(check_comes_back(model, back));
  model.soft_cap = 30;
  EXPECT_THAT(message_of([&] { check_comes_back(model, back); }),
              HasSubstr("export: the model has soft_cap = 30; a GPT-2 of Hugging Face's has 0"));
  back.soft_cap = 30;
  EXPECT_NO_THROW(check_comes_back(model, back));
  back.n_head = 6;
  EXPECT_THAT(message_of([&] { check_comes_back(model, back); }), HasSubstr("n_head = 12"));
}

// Every field, changed, comes back from an export, or is one that may differ, or an error names it.
TEST(HuggingFaceConfig, EveryFieldIsSaidOrRefused) {
  int said = 0, refused = 0;
  GptConfig names;
  each_field(names, [&](std::string_view changed, auto&, auto) {
    GptConfig model{.bias = true};
    each_field(model, [&](std::string_view name, auto& field, auto) {
      if (name != changed) return;
      using Field = std::remove_reference_t<decltype(field)>;
      if constexpr (std::is_same_v<Field, Activation>) field = gelu_tanh_op;
      if constexpr (std::is_same_v<Field, bool>) field = !field;
      if constexpr (std::is_same_v<Field, int64_t>) field = field == 0 ? 2 : 2 * field;
      if constexpr (std::is_same_v<Field, std::string>) field = "other";
      if constexpr (std::is_same_v<Field, double>) field += 0.25;
    });
    GptConfig back;
    try {
      back = gpt_config(gpt2_config(model, model.vocab_size));
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(fmt::format("the model has {} = ", changed)));
      ++refused;
      return;
    }
    if (changed == "dropout" || changed == "bias")  // of training; zeros are written
      model.dropout = back.dropout, model.bias = back.bias;
    EXPECT_NO_THROW(check_comes_back(model, back)) << changed;
    ++said;
  });
  EXPECT_EQ(said, 8);
  EXPECT_GE(refused, 11);
}

}  // namespace
}  // namespace folio
