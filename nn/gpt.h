#pragma once
#include <limits>
#include <memory>
#include <optional>

#include "nn/block.h"

namespace folio {

// GPT-2 (Radford et al., 2019) as nanoGPT writes it: token and position embeddings, n_layer blocks,
// a final layer norm, and a head that shares the token embedding's weight; or, by its options, what
// Llama, Qwen3 and others have made of it.
// B: batch, T: positions, C: n_embd, V: vocab_size.
class Gpt : public Module {
 public:
  // Throws Error for a configuration that cannot be. Weights start as nanoGPT's: normal(0, 0.02),
  // those that write to the residual stream scaled by 1 / sqrt(2 n_layer) or, with
  // residual_init=zero, as zeros, so that each block starts as the identity; biases 0.
  Gpt(const GptConfig& config, Device device, uint64_t seed);
  // The matrices are shapes alone until whoever loads the model sets every parameter, or packs its
  // weights.
  Gpt(const GptConfig& config, Device device);

  // Logits of every position: tokens [B, T] i32 -> [B, T, V]; with `last_only` of the last position
  // alone -> [B, 1, V], for which the last block computes no other row after its attention. With a
  // cache, for inference, `tokens` continue what it holds; more than a ring takes at once are read
  // in parts, with the same result.
  Tensor operator()(const Array& tokens, KvCache* cache = nullptr, bool last_only = false);
  // `factor` times the mean cross-entropy of predicting targets [B, T] i32 (-1: ignored) from
  // tokens [B, T] -> scalar.
  // With a cache, for inference, `tokens` continue what it holds, KvCache::most_new() at most.
  Tensor loss(const Array& tokens, const Array& targets, double factor = 1,
              KvCache* cache = nullptr);

  // The three parts of a forward pass.
  // x_t = dropout(wte[token_t] + wpe[position_t]), without wpe where positions are not learned:
  // tokens [B, T] -> [B, T, C]
  Tensor embed(const Array& tokens, const KvCache* cache = nullptr);
  // Every block in turn: x [B, T, C] -> [B, T, C], or [B, 1, C] with `last_only`.
  Residual blocks(Residual x, KvCache* cache = nullptr, bool last_only = false);
  // ln_f(x) wte^T or, where the head has a matrix of its own, ln_f(x) lm_head^T; then the softcap:
  // x [B, T, C] -> logits [B, T, V]
  Tensor head(Residual x);

  // Makes the context shorter, and cuts the position embedding down if there is one.
  void crop_block_size(int64_t block_size);
  // Gives a window (GptConfig::attention_window) to a model that was trained without one: an
  // approximation of what it learned, with which its texts have no end. Error for a model whose
  // positions are not rotary or that has a window, and for one longer than block_size, since no
  // longer distances were learned.
  void set_attention_window(int64_t window);
  // Number of parameters, by default without embeddings that are only looked up: that of positions,
  // as nanoGPT counts, and that of tokens where the head has a matrix of its own.
  int64_t num_params(bool non_embedding = true);
  // Multiply-adds, counted as two, that one training step needs for a token: forward and backward
  // through every matrix, and what attention's mask leaves of it.
  double training_flops_per_token();

  const GptConfig& config() const { return config_; }
  Context& context() { return context_; }
  // For B sequences of up to `capacity` tokens, by default block_size, which is the most where
  // positions are learned; with a window for any number of tokens. In the dtype of activations
  // unless another is given.
  KvCache make_cache(int64_t B, int64_t capacity = std::numeric_limits<int64_t>::max(),
                     std::optional<DType> dtype = {}) const;

 private:
  void check_tokens(const Array& tokens, const KvCache* cache) const;
  Tensor in_parts(const Array& tokens, KvCache& cache, bool last_only);
  // The cosines and sines of the positions of T tokens, for attention; undefined unless rotary.
  Array rotations(int64_t T, const KvCache* cache) const;
  Tensor recomputed(const Block& block, const Array& rotations, const Tensor& x);
  bool learns_positions() const { return config_.position == "learned"; }
  const Weight& head_weight() const { return config_.tie_weights ? wte_ : lm_head_; }

  GptConfig config_;
  Context context_;
  Weight wte_;     // [V, C]
  Parameter wpe_;  // [block_size, C], where positions are learned
  std::vector<std::unique_ptr<Block>> h_;
  LayerNorm ln_f_;
  Weight lm_head_;  // [V, C], where it is not wte_
};

}  // namespace folio
