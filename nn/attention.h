#pragma once
#include "nn/gpt_config.h"
#include "nn/kv_cache.h"
#include "nn/layers.h"

namespace folio {

// Multi-head attention in which a position sees itself and those before it, or the last few of them
// (Vaswani et al., 2017), and heads of queries may share keys and values (Ainslie et al., 2023).
// B: batch, T: positions, C: channels (n_embd), H: heads of queries, K: of keys and values, D:
// channels of a head, in nanoGPT's shape C / H, and K is H.
class CausalSelfAttention : public Module {
 public:
  CausalSelfAttention(Context& context, const GptConfig& config, int64_t layer);

  // [q k v] = x c_attn, in heads; q and k normed if they are to be, and turned by their positions
  // where `rotations` has a table for them (Gpt::rotations);
  // y = dropout(softmax(q k^T / sqrt(D), causal)) v; y c_proj
  // x [B, T, C] -> [B, T, C]. With a cache, x continues what it holds of this layer; with
  // `last_only` the result is that of the last position alone -> [B, 1, C].
  Tensor operator()(const Tensor& x, const Array& rotations, KvCache* cache,
                    bool last_only = false) const;

  // From now on a position sees the last `window`.
  void set_window(int64_t window) { heads_.window = window; }

  Linear c_attn, c_proj;
  RmsWeight q_norm, k_norm;

 private:
  Tensor fused(const Tensor& qkv, const Array& rotations) const;
  Tensor plain(const Tensor& qkv, const Array& rotations) const;
  Tensor cached(const Tensor& qkv, const Array& rotations, KvCache& cache) const;
  QkNorm qk_norm() const;
  Tensor watch(std::string_view point, const Tensor& x) const;

  Context& context_;
  const int64_t layer_;
  Heads heads_;
  const double norm_eps_;
  const bool norms_qk_;
};

}  // namespace folio
