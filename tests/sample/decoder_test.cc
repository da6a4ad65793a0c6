// Cached against uncached, below, at and past block_size.
#include "sample/decoder.h"

#include <gtest/gtest.h>

#include <random>

namespace folio {
namespace {

constexpr int64_t T = 16;
constexpr int64_t V = 65;
using Tokens = std::vector<int32_t>;

std::unique_ptr<Gpt> a_model() {
  GptConfig config{.block_size = T, .vocab_size = V, .n_layer = 2, .n_head = 2, .n_embd = 32};
  auto model = std::make_unique<Gpt>(config, 5);
  // Larger weights than at the start of training, so that every position and token matters.
  model->parameters([](const std::string&, Parameter& p) {
    if (p.shape().rank() == 2)
      backend(p.array()).random_normal(const_cast<Array&>(p.array()), 0, 0.3,
                                       {9, uint64_t(p.array().size())});
  });
  model->pack();
  return model;
}

std::vector<Tokens> prompts(int64_t n, int64_t length, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Tokens> all(static_cast<size_t>(n));
  for (Tokens& prompt : all)
    for (int64_t i = 0; i < length; ++i) prompt.push_back(int32_t(random() % uint64_t(V)));
  return all;
}

class Lengths : public testing::TestWithParam<int64_t> {};

TEST_P(Lengths, CachedAndUncachedStreamsAreEqual) {
  auto model = a_model();
  for (double temperature : {0.0, 0.8}) {
    std::vector<Tokens> batch = prompts(100, GetParam(), 3);
    GenerateOptions options{.max_new_tokens = 4 * T,
                            .sampler = {.temperature = temperature, .top_k = 40}};
    std::vector<Tokens> cached = generate(*model, batch, options);
    options.kv_cache = false;
    EXPECT_EQ(cached, generate(*model, batch, options)) << "temperature " << temperature;
    for (size_t b = 0; b < batch.size(); ++b)
      ASSERT_EQ(cached[b].size(), batch[b].size() + size_t(4 * T));
  }
}

INSTANTIATE_TEST_SUITE_P(AroundBlockSize, Lengths, testing::Values(1, T - 1, T, T + 1, 3 * T));

// Each step's logits against an independent forward pass, through the layers that train, over the
// window that nanoGPT's generate crops: idx[:, -block_size:].
TEST(Slide, SeesExactlyNanoGptsWindow) {
  auto model = a_model();
  auto plain = std::make_unique<Gpt>(model->config(), 5);
  std::map<std::string, Array> weights;
  model->parameters([&](const std::string& name, Parameter& p) { weights[name] = p.array(); });
  plain->parameters([&](const std::string& name, Parameter& p) { p.assign(weights.at(name)); });

  Decoder decoder(*model, prompts(1, 5, 1));
  std::mt19937 random(8);
  for (int64_t step = 0; step < 3 * T; ++step) {
    Tokens all = decoder.sequences()[0];
    int64_t window = std::min<int64_t>(T, int64_t(all.size()));
    Tokens last(all.end() - window, all.end());
    NoGrad no_grad;
    Tensor logits = (*plain)(to_array(last, {1, window}));
    std::vector<float> expected = to_vector<float>(logits.array());
    std::vector<float> got = to_vector<float>(decoder.logits());
    for (size_t v = 0; v < size_t(V); ++v)
      ASSERT_NEAR(got[v], expected[expected.size() - size_t(V) + v], 1e-4) << "step " << step;
    decoder.append(Tokens{int32_t(random() % uint64_t(V))});
  }
}

TEST(Generate, ASequenceIsTheSameAloneAndInABatch) {
  auto model = a_model();
  std::vector<Tokens> batch = prompts(7, 9, 4);
  GenerateOptions options{.max_new_tokens = 3 * T, .sampler = {.temperature = 1}};
  std::vector<Tokens> together = generate(*model, batch, options);
  EXPECT_EQ(generate(*model, {batch[0]}, options)[0], together[0]);
  backend(cpu).set_threads(1);
  std::vector<Tokens> one_thread = generate(*model, batch, options);
  backend(cpu).set_threads(3);
  EXPECT_EQ(one_thread, generate(*model, batch, options));
  backend(cpu).set_threads(0);
}

}  // namespace
}  // namespace folio
