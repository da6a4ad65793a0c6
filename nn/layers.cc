#include "nn/layers.h"

#include "autograd/ops.h"

namespace folio {

Linear::Linear(Context& context, int64_t in, int64_t out, bool with_bias) : context_(context) {
  add("weight", weight, {out, in}, 0);
  if (with_bias) add("bias", bias, {out}, 0);
}

Tensor Linear::operator()(const Tensor& x) const {
  if (is_packed() && NoGrad::active()) return packed(x);
  return linear(x, cast(weight, context_.dtype), bias);
}

void Linear::pack() { packed_ = backend(weight.array()).pack(weight.array()); }

Tensor Linear::packed(const Tensor& x, Unary act) const {
  return backend(x.array()).linear_packed(x.array(), packed_, bias.array(), act);
}

LayerNorm::LayerNorm(int64_t channels, bool with_bias) {
  add("weight", weight, {channels}, 1);
  if (with_bias) add("bias", bias, {channels}, 0);
}

Tensor LayerNorm::operator()(const Tensor& x) const { return layer_norm(x, weight, bias); }

CausalSelfAttention::CausalSelfAttention(Context& context, int64_t n_embd, int64_t n_head,
                                         bool bias)
    : c_attn(context, n_embd, 3 * n_embd, bias),
      c_proj(context, n_embd, n_embd, bias),
      context_(context),
      n_head_(n_head) {
  add("c_attn", c_attn);
  add("c_proj", c_proj);
}

Tensor CausalSelfAttention::operator()(const Tensor& x, KvCache* cache, int layer) const {
  Tensor qkv = c_attn(x);  // [B, T, 3C]: queries, keys, values
  Tensor y = cache ? Tensor(backend(qkv.array())
                                .attention_cached(qkv.array(), n_head_,
                                                  cache->layers.at(size_t(layer)), cache->lengths))
                   : attention(qkv, n_head_, context_.next_dropout());
  return c_proj(y);
}

Mlp::Mlp(Context& context, int64_t n_embd, Unary activation, bool bias)
    : c_fc(context, n_embd, 4 * n_embd, bias),
      c_proj(context, 4 * n_embd, n_embd, bias),
      context_(context),
      activation_(activation) {
  add("c_fc", c_fc);
  add("c_proj", c_proj);
}

Tensor Mlp::operator()(const Tensor& x) const {
  if (c_fc.is_packed() && NoGrad::active()) return c_proj.packed(c_fc.packed(x, activation_));
  return feed_forward(x, cast(c_fc.weight, context_.dtype), c_fc.bias,
                      cast(c_proj.weight, context_.dtype), c_proj.bias, activation_);
}

Block::Block(Context& context, int64_t n_embd, int64_t n_head, Unary activation, bool bias)
    : ln_1(n_embd, bias),
      attn(context, n_embd, n_head, bias),
      ln_2(n_embd, bias),
      mlp(context, n_embd, activation, bias),
      context_(context) {
  add("ln_1", ln_1);
  add("attn", attn);
  add("ln_2", ln_2);
  add("mlp", mlp);
}

Tensor Block::operator()(const Tensor& input, KvCache* cache, int layer) const {
  Tensor x = add_dropout(input, attn(ln_1(input), cache, layer), context_.next_dropout());
  return add_dropout(x, mlp(ln_2(x)), context_.next_dropout());
}

}  // namespace folio
