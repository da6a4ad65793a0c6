#pragma once
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "nn/gpt.h"
#include "tests/device.h"

namespace folio {

// nanoGPT's shape with every bias, and a model with every option beside nanoGPT's.
inline std::vector<std::pair<std::string, GptConfig>> inspected_models() {
  GptConfig plain{.block_size = 12, .vocab_size = 11, .n_layer = 2, .n_head = 2, .n_embd = 16};
  GptConfig modern = plain;
  modern.n_head = 4, modern.n_kv_head = 2, modern.head_dim = 6, modern.ffn_hidden = 20;
  modern.attention_window = 5, modern.bias = false, modern.position = "rotary";
  modern.rope_theta = 100, modern.norm = "rms", modern.qk_norm = "rms_learned";
  modern.activation = Activation::swiglu(), modern.tie_weights = false, modern.logit_softcap = 3;
  return {{"plain", plain}, {"modern", modern}};
}

// Weights large enough that attention is not uniform and norms do something.
inline void draw(Gpt& model) {
  uint64_t stream = 0;
  model.parameters([&](const std::string&, Parameter& p) {
    Array values(p.shape(), DType::f32, test_device());
    const bool matrix = p.shape().rank() == 2;
    backend(values)->random.normal(values, matrix ? 0 : 0.5, matrix ? 0.3 : 0.1, {7, stream++});
    p = Parameter::leaf(values);
  });
}

inline std::vector<int32_t> ten_tokens() { return {3, 1, 4, 1, 5, 9, 2, 6, 5, 10}; }

// softmax(logits) in double.
inline std::vector<double> softmax_of(std::span<const float> logits) {
  std::vector<double> p;
  for (float x : logits) p.push_back(std::exp(double(x)));
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

}  // namespace folio
