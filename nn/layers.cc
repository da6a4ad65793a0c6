#include "nn/layers.h"

#include "autograd/ops.h"

namespace folio {
namespace {

// The last position of each row: [B, T, C] -> [B, 1, C].
Tensor last_position(const Tensor& x) {
  int64_t B = x.dim(0), T = x.dim(1), C = x.dim(2);
  if (T == 1) return x;
  std::vector<int64_t> rows;
  for (int64_t b = 0; b < B; ++b) rows.push_back(b * T + T - 1);
  const Array& array = x.array();
  return backend(array).take_rows(array.reshape({B * T, C}), rows).reshape({B, 1, C});
}

}  // namespace

Linear::Linear(Context& context, int64_t in, int64_t out, bool with_bias) : context_(context) {
  add("weight", weight, {out, in});
  if (with_bias) add("bias", bias, zeros({out}, DType::f32, context.device));
}

Tensor Linear::operator()(const Tensor& x) const {
  if (is_packed() && NoGrad::active()) return packed(x);
  return linear(x, cast(weight, context_.dtype), bias);
}

void Linear::packed_weights(const PackedVisitor& visit, const std::string& prefix) {
  visit(prefix + "weight", weight, packed_);
}

Tensor Linear::packed(const Tensor& x, Unary act) const {
  return backend(x.array()).linear_packed(x.array(), packed_, bias.array(), act);
}

LayerNorm::LayerNorm(Context& context, int64_t channels, bool with_bias) : context_(context) {
  add("weight", weight, full({channels}, 1, DType::f32, context.device));
  if (with_bias) add("bias", bias, zeros({channels}, DType::f32, context.device));
}

Tensor LayerNorm::operator()(const Tensor& x) const {
  return layer_norm(x, weight, bias, context_.dtype);
}

CausalSelfAttention::CausalSelfAttention(Context& context, int64_t n_embd, int64_t n_head,
                                         bool bias)
    : c_attn(context, n_embd, 3 * n_embd, bias),
      c_proj(context, n_embd, n_embd, bias),
      context_(context),
      n_head_(n_head) {
  add("c_attn", c_attn);
  add("c_proj", c_proj);
}

Tensor CausalSelfAttention::operator()(const Tensor& x, KvCache* cache, int layer,
                                       bool last_only) const {
  Tensor qkv = c_attn(x);  // [B, T, 3C]: queries, keys, values
  if (cache) {
    KvLayer& kept = cache->layers.at(size_t(layer));
    return c_proj(backend(qkv.array())
                      .attention_cached(qkv.array(), n_head_, kept, cache->lengths, last_only));
  }
  Tensor y = attention(qkv, n_head_, context_.next_dropout());
  return c_proj(last_only ? last_position(y) : y);
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
    : ln_1(context, n_embd, bias),
      attn(context, n_embd, n_head, bias),
      ln_2(context, n_embd, bias),
      mlp(context, n_embd, activation, bias),
      context_(context) {
  add("ln_1", ln_1);
  add("attn", attn);
  add("ln_2", ln_2);
  add("mlp", mlp);
}

Tensor Block::operator()(const Tensor& input, KvCache* cache, int layer, bool last_only) const {
  Tensor y = attn(ln_1(input), cache, layer, last_only);
  Tensor x = add_dropout(last_only ? last_position(input) : input, y, context_.next_dropout());
  return add_dropout(x, mlp(ln_2(x)), context_.next_dropout());
}

}  // namespace folio
