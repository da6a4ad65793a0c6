#pragma once
#include <cstdint>
#include <string_view>

#include "core/elementwise.h"

namespace folio {

// nanoGPT's GPTConfig. A field is a member here and a line in each_field.
struct GptConfig {
  int64_t block_size = 1024;
  int64_t vocab_size = 50304;
  int64_t n_layer = 12, n_head = 12, n_embd = 768;
  double dropout = 0;
  bool bias = true;
  Unary activation = gelu_erf_op;
};

// Calls f(name, field, help) for every field of a GptConfig, const or not. Options, config files,
// checkpoints, resuming and exporting walk it: they call a field by this name, help says what it
// is, and a file from before the field existed means the default above.
template <class Config, class F>
void each_field(Config& config, F&& f) {
  f("block_size", config.block_size, "tokens per sequence: the model's context length");
  f("vocab_size", config.vocab_size, "tokens that the model tells apart");
  f("n_layer", config.n_layer, "number of transformer blocks");
  f("n_head", config.n_head, "attention heads per block; must divide n_embd");
  f("n_embd", config.n_embd, "embedding width");
  f("dropout", config.dropout, "dropout probability: 0 to pretrain, 0.1 or more to fine-tune");
  f("bias", config.bias, "biases in Linear and LayerNorm, as GPT-2 has; without is a bit faster");
  f("activation", config.activation, "what the MLP applies between its two matrices");
}

inline bool is_model_field(std::string_view name) {
  bool found = false;
  GptConfig config;
  each_field(config, [&](std::string_view field, auto&, auto) { found |= field == name; });
  return found;
}

}  // namespace folio
