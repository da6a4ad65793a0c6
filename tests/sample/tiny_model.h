#pragma once
#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "nn/gpt.h"
#include "tests/device.h"

namespace folio {

constexpr int64_t T = 16;  // block_size
constexpr int64_t V = 65;
using Tokens = std::vector<int32_t>;

// A model whose every position and token matters: its weights are larger than at the start of
// training. This one runs the layers that train; a_model() the packed ones, of the same weights.
inline std::unique_ptr<Gpt> dense_model(const GptConfig& config) {
  auto model = std::make_unique<Gpt>(config, test_device(), 5);
  model->parameters([](const std::string&, Parameter& p) {
    if (p.shape().rank() == 2)
      backend(p.array())->random.normal(const_cast<Array&>(p.array()), 0, 0.3,
                                        {9, uint64_t(p.array().size())});
  });
  return model;
}
inline std::unique_ptr<Gpt> dense_model(int64_t vocab_size = V, int64_t n_layer = 2) {
  return dense_model(
      {.block_size = T, .vocab_size = vocab_size, .n_layer = n_layer, .n_head = 2, .n_embd = 32});
}
inline std::unique_ptr<Gpt> packed(std::unique_ptr<Gpt> model) {
  model->pack(WeightFormat::f32);
  return model;
}
inline std::unique_ptr<Gpt> a_model(int64_t vocab_size = V, int64_t n_layer = 2) {
  return packed(dense_model(vocab_size, n_layer));
}

// One whose texts have no end: a ring of its cache holds 128 positions.
constexpr int64_t W = 11, ring = 128;
inline GptConfig endless_config(std::string position = "rotary") {
  return {.block_size = T,
          .vocab_size = V,
          .n_layer = 3,
          .n_head = 2,
          .n_embd = 32,
          .position = std::move(position),
          .attention_window = W};
}

inline Tokens random_tokens(int64_t length, uint32_t seed) {
  std::mt19937 random(seed);
  Tokens tokens;
  for (int64_t i = 0; i < length; ++i) tokens.push_back(int32_t(random() % uint64_t(V)));
  return tokens;
}

inline std::vector<Tokens> prompts(int64_t n, int64_t length, uint32_t seed) {
  std::vector<Tokens> all;
  for (int64_t i = 0; i < n; ++i) all.push_back(random_tokens(length, seed + 1000 * uint32_t(i)));
  return all;
}

// Logits of what follows `window`, by the layers that train, without a cache: [V].
inline std::vector<float> plain_logits(Gpt& plain, const Tokens& window) {
  NoGrad no_grad;
  Array logits = plain(to_array(window, {1, int64_t(window.size())})).array();
  std::vector<float> all = to_vector<float>(logits);
  return {all.end() - logits.dim(-1), all.end()};
}

}  // namespace folio
