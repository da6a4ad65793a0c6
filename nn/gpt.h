#pragma once
#include <limits>
#include <memory>
#include <optional>

#include "nn/block.h"

namespace folio {

// GPT-2 (Radford et al., 2019) as nanoGPT writes it: token and position embeddings, n_layer blocks,
// a final layer norm, and a head that shares the token embedding's weight.
// B: batch, T: positions, C: n_embd, V: vocab_size.
class Gpt : public Module {
 public:
  // Throws Error for a configuration that cannot be. Weights start as nanoGPT's: normal(0, 0.02),
  // those that write to the residual stream scaled by 1 / sqrt(2 n_layer), biases 0.
  Gpt(const GptConfig& config, Device device, uint64_t seed);
  // The matrices are shapes alone until whoever loads the model sets every parameter, or packs its
  // weights.
  Gpt(const GptConfig& config, Device device);

  // Logits of every position: tokens [B, T] i32 -> [B, T, V]; with `last_only` of the last position
  // alone -> [B, 1, V], for which the last block computes no other row after its attention. With a
  // cache, for inference, `tokens` continue what it holds.
  Tensor operator()(const Array& tokens, KvCache* cache = nullptr, bool last_only = false);
  // `factor` times the mean cross-entropy of predicting targets [B, T] i32 (-1: ignored) from
  // tokens [B, T] -> scalar.
  Tensor loss(const Array& tokens, const Array& targets, double factor = 1);

  // The three parts of a forward pass.
  // x_t = dropout(wte[token_t] + wpe[position_t]): tokens [B, T] -> [B, T, C]
  Tensor embed(const Array& tokens, const KvCache* cache = nullptr);
  // Every block in turn: x [B, T, C] -> [B, T, C], or [B, 1, C] with `last_only`.
  Residual blocks(Residual x, KvCache* cache = nullptr, bool last_only = false);
  // ln_f(x) wte^T: x [B, T, C] -> logits [B, T, V]
  Tensor head(Residual x);

  // Cuts the position embedding down: a model trained with long contexts runs with shorter ones.
  void crop_block_size(int64_t block_size);
  // Number of parameters, by default without the position embedding, as nanoGPT counts them.
  int64_t num_params(bool non_embedding = true);
  // Multiply-adds, counted as two, that one training step needs for a token: forward and backward
  // through every matrix, and the causal half of attention.
  double training_flops_per_token();

  const GptConfig& config() const { return config_; }
  Context& context() { return context_; }
  // For B sequences of up to `capacity` tokens, or block_size if that is less; in the dtype of
  // activations unless another is given.
  KvCache make_cache(int64_t B, int64_t capacity = std::numeric_limits<int64_t>::max(),
                     std::optional<DType> dtype = {}) const;

 private:
  void check_tokens(const Array& tokens, const KvCache* cache) const;
  Tensor recomputed(const Block& block, const Tensor& x);

  GptConfig config_;
  Context context_;
  Weight wte_;     // [V, C]
  Parameter wpe_;  // [block_size, C]
  std::vector<std::unique_ptr<Block>> h_;
  LayerNorm ln_f_;
};

}  // namespace folio
