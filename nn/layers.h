#pragma once
#include "nn/kv_cache.h"
#include "nn/module.h"

namespace folio {

// x W^T + b: x [..., in] -> [..., out]; weight [out, in], bias [out] if wanted. Matrices start as
// shapes alone: the model draws or loads them.
class Linear : public Module {
 public:
  Linear(Context& context, int64_t in, int64_t out, bool bias);
  Tensor operator()(const Tensor& x) const;
  void packed_weights(const PackedVisitor& visit, const std::string& prefix = "") override;
  // With an activation, for inference only: act(x W^T + b) over the packed weight.
  Tensor packed(const Tensor& x, Unary act = Unary::none) const;
  bool is_packed() const { return packed_.defined(); }

  Parameter weight, bias;

 private:
  Context& context_;
  PackedWeight packed_;
};

// weight [rows, channels]; looked up by autograd's `embedding`.
class Embedding : public Module {
 public:
  Embedding(int64_t rows, int64_t channels) { add("weight", weight, {rows, channels}); }

  Parameter weight;
};

// Over the last dimension, with a learned scale and, if wanted, offset (Ba et al., 2016).
class LayerNorm : public Module {
 public:
  LayerNorm(Context& context, int64_t channels, bool bias);
  Tensor operator()(const Tensor& x) const;

  Parameter weight, bias;

 private:
  Context& context_;
};

// Multi-head attention in which a position sees itself and those before it (Vaswani et al., 2017).
class CausalSelfAttention : public Module {
 public:
  CausalSelfAttention(Context& context, int64_t n_embd, int64_t n_head, bool bias);
  // x [B, T, C] -> [B, T, C]; with `last_only` (for inference), the last position's row alone
  // -> [B, 1, C]. With a cache, x continues what layer `layer` of it holds.
  Tensor operator()(const Tensor& x, KvCache* cache, int layer, bool last_only = false) const;

  Linear c_attn, c_proj;

 private:
  Context& context_;
  int64_t n_head_;
};

// The feed-forward layer: C -> 4 C -> C with an activation between.
class Mlp : public Module {
 public:
  Mlp(Context& context, int64_t n_embd, Unary activation, bool bias);
  Tensor operator()(const Tensor& x) const;

  Linear c_fc, c_proj;

 private:
  Context& context_;
  Unary activation_;
};

// Pre-norm transformer block: x + dropout(attn(ln_1(x))), then x + dropout(mlp(ln_2(x))).
class Block : public Module {
 public:
  Block(Context& context, int64_t n_embd, int64_t n_head, Unary activation, bool bias);
  Tensor operator()(const Tensor& x, KvCache* cache, int layer, bool last_only = false) const;

  LayerNorm ln_1;
  CausalSelfAttention attn;
  LayerNorm ln_2;
  Mlp mlp;

 private:
  Context& context_;
};

}  // namespace folio
