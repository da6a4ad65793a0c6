// Llamas and Qwen3s as transformers runs them from the files that folio exports: logits, and greedy
// streams over the cache (tests/reference/make_exports.py). That folio does export those files:
// tests/checkpoint/llama_export_test.cc.
#include <gtest/gtest.h>

#include "sample/generate.h"
#include "tests/reference/exports.h"

namespace folio {
namespace {

using nlohmann::json;

class Exports : public testing::TestWithParam<size_t> {
 protected:
  const json all = reference::export_cases();
  const json& one = all.at(GetParam());
  const std::unique_ptr<Gpt> model = reference::model_of(one);
};

TEST_P(Exports, LogitsMatch) {
  NoGrad no_grad;
  const Array ids = reference::tokens_of(one.at("batch"));
  for (bool plain : {false, true}) {
    model->context().plain = plain;
    const Array logits = (*model)(ids).array();
    reference::expect_excerpt(logits, one.at("logits"), "logits ");
    const std::vector<float> values = to_vector<float>(logits);
    for (size_t i = 0; i < one.at("logits").at("at").size(); ++i)
      EXPECT_NEAR(values.at(one.at("logits").at("at")[i]),
                  one.at("logits").at("values")[i].get<double>(), 1e-4);
  }
}

TEST_P(Exports, GreedyStreamsAreEqual) {
  model->pack(WeightFormat::f32);
  const json& streams = one.at("streams");
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < streams.size(); ++i)
    prompts.push_back(reference::tokens(6000 + i, 1 + 11 * (i % 4), 65));
  const Generated got =
      generate(*model, prompts,
               {.max_new_tokens = int64_t(streams[0].size()), .sampler = {.temperature = 0}});
  for (size_t i = 0; i < prompts.size(); ++i) {
    std::vector<int32_t> expected = prompts[i];
    for (int32_t token : streams[i].get<std::vector<int32_t>>()) expected.push_back(token);
    EXPECT_EQ(got.samples[i].tokens, expected) << "prompt " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Exports, testing::Range<size_t>(0, reference::export_cases().size()),
    [](const auto& info) {
      return reference::export_cases().at(info.param).at("name").template get<std::string>();
    });

}  // namespace
}  // namespace folio
