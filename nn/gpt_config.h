#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/backend/heads.h"
#include "core/backend/norms.h"
#include "core/backend/rotary.h"
#include "core/elementwise.h"

namespace folio {

// nanoGPT's GPTConfig, and what models have been given since; by default they are nanoGPT's. A
// field is a member here and a line in each_field.
struct GptConfig {
  int64_t block_size = 1024;
  int64_t vocab_size = 50304;
  int64_t n_layer = 12, n_head = 12, n_embd = 768;
  double dropout = 0;
  bool bias = true;
  Activation activation = gelu_erf_op;
  std::string position = "learned";  // learned, rotary or none
  double rope_theta = 10000;
  double rope_factor = 1, rope_low_freq_factor = 1, rope_high_freq_factor = 4;
  int64_t rope_original_context = 8192;
  std::string norm = "layer";  // layer or rms
  double norm_eps = 1e-5;
  std::string qk_norm = "off";  // off, rms or rms_learned
  int64_t ffn_hidden = 0, head_dim = 0, n_kv_head = 0;
  int64_t attention_window = 0;
  bool tie_weights = true;
  double logit_softcap = 0;
  std::string residual_init = "scaled";  // scaled or zero

  // What the zeros stand for.
  Heads heads() const {
    return {n_head, n_kv_head > 0 ? n_kv_head : n_head, head_dim > 0 ? head_dim : n_embd / n_head,
            attention_window};
  }
  Rope rope() const {
    return {rope_theta, rope_factor, rope_low_freq_factor, rope_high_freq_factor,
            rope_original_context};
  }
  int64_t hidden() const {  // channels inside a feed-forward layer
    if (ffn_hidden > 0) return ffn_hidden;
    return activation.is_gated ? (8 * n_embd / 3 + 7) / 8 * 8 : 4 * n_embd;
  }
  Norm norm_of_rows() const { return {norm == "rms" ? NormKind::rms : NormKind::layer, norm_eps}; }
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
  f("position", config.position,
    "how a token knows its place: an embedding, rotations of queries "
    "and keys, or by nothing but the causal mask");
  f("rope_theta", config.rope_theta, "rotary: base of the rotations' wavelengths");
  f("rope_factor", config.rope_factor,
    "Llama 3's scaling of rotary: long wavelengths are this many times longer; 1: none is");
  f("rope_low_freq_factor", config.rope_low_freq_factor,
    "with rope_factor: wavelengths above rope_original_context over this are the long ones");
  f("rope_high_freq_factor", config.rope_high_freq_factor,
    "with rope_factor: wavelengths below rope_original_context over this stay as they are");
  f("rope_original_context", config.rope_original_context,
    "with rope_factor: block_size that the model was first trained with");
  f("norm", config.norm, "LayerNorm, or RMSNorm, which has no mean and no bias");
  f("norm_eps", config.norm_eps, "what norms add to the variance");
  f("qk_norm", config.qk_norm, "RMSNorm of each head's queries and keys, with weights if learned");
  f("ffn_hidden", config.ffn_hidden, "width inside the MLP; 0: 4 n_embd, or 8/3 with swiglu");
  f("head_dim", config.head_dim, "width of an attention head; 0: n_embd / n_head");
  f("n_kv_head", config.n_kv_head, "heads of keys and values, which n_head share; 0: n_head");
  f("attention_window", config.attention_window,
    "positions that one sees, the last ones, itself included; 0: all");
  f("tie_weights", config.tie_weights, "the head's matrix is the token embedding's");
  f("logit_softcap", config.logit_softcap, "c: logits become c tanh(logits / c); 0: they stay");
  f("residual_init", config.residual_init,
    "how what writes to the residual stream starts: scaled by 1 / sqrt(2 n_layer), or as zeros");
}

inline bool is_model_field(std::string_view name) {
  bool found = false;
  GptConfig config;
  each_field(config, [&](std::string_view field, auto&, auto) { found |= field == name; });
  return found;
}

}  // namespace folio
