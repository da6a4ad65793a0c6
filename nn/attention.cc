#include "nn/attention.h"

#include <cmath>

#include "autograd/ops.h"

namespace folio {

CausalSelfAttention::CausalSelfAttention(Context& context, const GptConfig& config, int64_t layer)
    : c_attn(context, config.n_embd, 3 * config.n_embd, config.bias),
      c_proj(context, config.n_embd, config.n_embd, config.bias),
      context_(context),
      layer_(layer),
      n_head_(config.n_head) {
  add("c_attn", c_attn);
  add("c_proj", c_proj);
}

Tensor CausalSelfAttention::operator()(const Tensor& x, KvCache* cache) const {
  Tensor qkv = c_attn(x);  // [B, T, 3 C]: queries, keys, values
  Tensor y = cache ? cached(qkv, *cache) : context_.is_plain() ? plain(qkv) : fused(qkv);
  return c_proj(watch("attn.output", y));
}

// What `plain` computes, without ever holding the [T, T] matrices.
Tensor CausalSelfAttention::fused(const Tensor& qkv) const {
  return attention(qkv, n_head_, context_.next_dropout());
}

Tensor CausalSelfAttention::plain(const Tensor& qkv) const { return fused(qkv); }

// The same for the positions that follow those in the cache, which gets their keys and values.
Tensor CausalSelfAttention::cached(const Tensor& qkv, KvCache& cache) const {
  KvLayer& layer = cache.layers.at(size_t(layer_));
  return backend(qkv.array()).attention_cached(qkv.array(), n_head_, layer, cache.lengths);
}

Tensor CausalSelfAttention::watch(std::string_view point, const Tensor& x) const {
  return context_.watch(point, x, layer_);
}

}  // namespace folio
