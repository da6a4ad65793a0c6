#include "inspect/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/tokenizer/char_tokenizer.h"
#include "tests/inspect/models.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::HasSubstr;

class CompareModels : public testing::Test {
 protected:
  CompareModels() { draw(model); }
  GptConfig config = inspected_models()[0].second;
  Gpt model{config, test_device()};
  std::shared_ptr<CharTokenizer> tokenizer = std::make_shared<CharTokenizer>(U"abcdefghijk");
  Inspection inspected() { return inspect(model, tokenizer, "a", ten_tokens()); }
};

TEST_F(CompareModels, AModelWithItselfIsNoDistance) {
  const Comparison same = compare(inspected(), model, model, *tokenizer, "a");
  EXPECT_TRUE(same.config.empty());
  EXPECT_EQ(same.lens.loss, inspected().lens.loss);
  EXPECT_EQ(same.attention_distance, std::vector<double>(4, 0));
  for (const auto& [name, distance] : same.parameter_distance) EXPECT_EQ(distance, 0) << name;
}

TEST_F(CompareModels, DistancesAreThoseOfWhatWasChanged) {
  Gpt other(config, test_device());
  draw(other);
  other.parameters([&](const std::string& name, Parameter& p) {
    std::vector<float> values = on_host(p.array()).values;
    // Layer 1 attends evenly from now on, and the MLP of layer 0 is half as large again.
    for (float& x : values)
      x *=
          name == "transformer.h.1.attn.c_attn.weight" || name == "transformer.h.1.attn.c_attn.bias"
              ? 0.0f
          : name == "transformer.h.0.mlp.c_fc.weight" ? 1.5f
                                                      : 1.0f;
    p.assign(to_array(values, p.shape()));
  });
  const Inspection first = inspected();
  const Comparison two = compare(first, model, other, *tokenizer, "b");
  for (const auto& [name, distance] : two.parameter_distance)
    EXPECT_NEAR(distance,
                name.starts_with("transformer.h.1.attn.c_attn") ? 1.0
                : name == "transformer.h.0.mlp.c_fc.weight"     ? 0.5
                                                                : 0.0,
                1e-6)
        << name;
  EXPECT_EQ(two.attention_distance[0], 0) << "layer 0 reads the same as before";
  double expected = 0;
  const HostArray& p = first.captures.at(1, "attn.probabilities");
  for (int64_t t = 0; t < 10; ++t)
    for (int64_t key = 0; key <= t; ++key)
      expected += std::abs(double(p.row(10 + t)[size_t(key)]) - 1.0 / double(t + 1)) / 20;
  EXPECT_NEAR(two.attention_distance[3], expected, 1e-6);
  EXPECT_NE(two.lens.loss, first.lens.loss);
}

TEST_F(CompareModels, OfAnotherShapeNameWhatDiffers) {
  GptConfig smaller = config;
  smaller.n_layer = 1;
  smaller.activation = unary<Relu>();
  Gpt other(smaller, test_device());
  draw(other);
  const Comparison two = compare(inspected(), model, other, *tokenizer, "b");
  EXPECT_THAT(two.config,
              testing::ElementsAre(testing::ElementsAre("n_layer", "2", "1"),
                                   testing::ElementsAre("activation", "gelu_erf", "relu")));
  EXPECT_TRUE(two.attention_distance.empty());
  EXPECT_EQ(two.lens.points.size(), 3u);
  EXPECT_LT(two.parameter_distance.size(), 20u);
}

TEST_F(CompareModels, ModelsThatDoNotReadTheSameTokensAreAnError) {
  const Inspection first = inspected();
  EXPECT_THAT(message_of([&] { compare(first, model, model, CharTokenizer(U"abcdefghijz"), "b"); }),
              HasSubstr("b has another vocabulary"));
  GptConfig shorter = config;
  shorter.block_size = 9;
  Gpt other(shorter, test_device(), 1);
  EXPECT_THAT(message_of([&] { compare(first, model, other, *tokenizer, "b"); }),
              HasSubstr("the text has 10 tokens, but the block_size of b is 9"));
}

}  // namespace
}  // namespace folio
