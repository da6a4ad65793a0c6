// GPT-2 as transformers runs it: logits, loss, gradients and greedy streams over the cache
// (tests/reference/make_gpt2.py).
#include <gtest/gtest.h>

#include <fstream>

#include "nn/gpt.h"
#include "sample/generate.h"
#include "tests/device.h"
#include "tests/paths.h"
#include "tests/reference/figures.h"

namespace folio {
namespace {

using nlohmann::json;

class Transformers : public testing::Test {
 protected:
  Transformers() {
    std::ifstream in(source_path("tests/reference/gpt2.json"));
    figures = json::parse(in);
    const json& shape = figures.at("model");
    model = std::make_unique<Gpt>(GptConfig{.block_size = shape.at("n_positions"),
                                            .vocab_size = shape.at("vocab_size"),
                                            .n_layer = shape.at("n_layer"),
                                            .n_head = shape.at("n_head"),
                                            .n_embd = shape.at("n_embd"),
                                            .activation = gelu_tanh_op},
                                  test_device());
    std::map<std::string, Array> weights;
    for (const json& spec : figures.at("weights"))
      weights[spec.at("name")] = reference::values_of(spec);
    model->parameters([&](const std::string& name, Parameter& p) { p.assign(weights.at(name)); });
  }

  json figures;
  std::unique_ptr<Gpt> model;
};

TEST_F(Transformers, LogitsLossAndEveryGradientMatch) {
  Array ids = reference::tokens_of(figures.at("batch"));  // [B, T + 1]
  {
    NoGrad no_grad;
    reference::expect_excerpt((*model)(ids).array(), figures.at("logits"), "logits ");
  }
  int64_t B = ids.dim(0), T = ids.dim(1) - 1;
  std::vector<int32_t> all = to_vector<int32_t>(ids), x, y;
  for (int64_t i = 0; i < B * (T + 1); ++i) {
    if (i % (T + 1) < T) x.push_back(all[size_t(i)]);
    if (i % (T + 1) > 0) y.push_back(all[size_t(i)]);
  }
  Tensor loss = model->loss(to_array(x, {B, T}), to_array(y, {B, T}));
  loss.backward();
  double expected = figures.at("loss");
  EXPECT_NEAR(item(loss.array()), expected, 1e-4 * expected);
  size_t compared = 0;
  model->parameters([&](const std::string& name, Parameter& p) {
    reference::expect_excerpt(p.grad(), figures.at("gradients").at(name), name + " ");
    ++compared;
  });
  EXPECT_EQ(compared, figures.at("gradients").size());
}

TEST_F(Transformers, GreedyStreamsAreEqual) {
  model->pack(WeightFormat::f32);
  const json& streams = figures.at("streams");
  std::vector<std::vector<int32_t>> prompts;
  for (size_t i = 0; i < streams.size(); ++i)
    prompts.push_back(reference::tokens(6000 + i, 1 + i % 24, 65));
  for (bool kv_cache : {true, false}) {
    Generated got = generate(*model, prompts,
                             {.max_new_tokens = int64_t(streams[0].size()),
                              .sampler = {.temperature = 0},
                              .kv_cache = kv_cache});
    for (size_t i = 0; i < prompts.size(); ++i) {
      std::vector<int32_t> expected = prompts[i];
      for (int32_t token : streams[i].get<std::vector<int32_t>>()) expected.push_back(token);
      EXPECT_EQ(got.samples[i].tokens, expected) << "prompt " << i << ", cache " << kv_cache;
    }
  }
}

}  // namespace
}  // namespace folio
