#pragma once
#include "nn/gpt_config.h"
#include "nn/kv_cache.h"
#include "nn/layers.h"

namespace folio {

// Multi-head attention in which a position sees itself and those before it (Vaswani et al., 2017).
// B: batch, T: positions, C: channels (n_embd), H: heads, D = C / H: channels of a head.
class CausalSelfAttention : public Module {
 public:
  CausalSelfAttention(Context& context, const GptConfig& config, int64_t layer);

  // [q k v] = x c_attn, in heads; y = dropout(softmax(q k^T / sqrt(D), causal)) v; y c_proj
  // x [B, T, C] -> [B, T, C]. With a cache, x continues what it holds of this layer; with
  // `last_only` the result is that of the last position alone -> [B, 1, C].
  Tensor operator()(const Tensor& x, KvCache* cache, bool last_only = false) const;

  Linear c_attn, c_proj;

 private:
  Tensor fused(const Tensor& qkv) const;
  Tensor plain(const Tensor& qkv) const;
  Tensor cached(const Tensor& qkv, KvCache& cache) const;
  Tensor watch(std::string_view point, const Tensor& x) const;

  Context& context_;
  const int64_t layer_, n_head_;
};

}  // namespace folio
