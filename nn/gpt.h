#pragma once
#include <limits>
#include <memory>
#include <optional>

#include "nn/layers.h"

namespace folio {

// nanoGPT's GPTConfig.
struct GptConfig {
  int64_t block_size = 1024;
  int64_t vocab_size = 50304;
  int64_t n_layer = 12, n_head = 12, n_embd = 768;
  double dropout = 0;
  bool bias = true;
  Unary activation = gelu_erf_op;
};

// GPT-2 (Radford et al., 2019) as nanoGPT writes it: token and position embeddings, n_layer blocks,
// a final layer norm, and a head that shares the token embedding's weight.
class Gpt : public Module {
 public:
  // Throws Error for a configuration that cannot be. Weights start as nanoGPT's: normal(0, 0.02),
  // those that write to the residual stream scaled by 1 / sqrt(2 n_layer), biases 0.
  Gpt(const GptConfig& config, Device device, uint64_t seed);
  // The matrices are shapes alone until whoever loads the model sets every parameter, or its packed
  // weight.
  Gpt(const GptConfig& config, Device device);

  // Logits of every position, tokens [B, T] i32 -> [B, T, vocab_size]; with `last_only`, of the
  // last position alone -> [B, 1, vocab_size], for which the last block's attention, its MLP and
  // the head compute no other row. With a cache, `tokens` continue what it holds.
  Tensor operator()(const Array& tokens, KvCache* cache = nullptr, bool last_only = false);
  // Mean cross-entropy of predicting targets [B, T] (-1: ignored) from tokens [B, T] -> scalar.
  // Under NoGrad, a packed model computes it from its packed weights.
  Tensor loss(const Array& tokens, const Array& targets);

  void packed_weights(const PackedVisitor& visit, const std::string& prefix = "") override;
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
  // [B, T or, with last_only, 1, C] after the final layer norm
  // block(x), run again in backward instead of keeping its activations.
  Tensor recomputed(const Block& block, const Tensor& x);
  Tensor embedded(const Array& tokens, std::span<const int64_t> positions);
  void check_weights() const;  // Error unless there are those that a forward pass needs
  Tensor trunk(const Array& tokens, KvCache* cache, bool last_only);

  GptConfig config_;
  Context context_;
  Embedding wte_, wpe_;
  std::vector<std::unique_ptr<Block>> h_;
  LayerNorm ln_f_;
  PackedWeight lm_head_;
};

}  // namespace folio
