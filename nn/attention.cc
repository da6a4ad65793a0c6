#include "nn/attention.h"

#include <cmath>

#include "autograd/ops.h"

namespace folio {

CausalSelfAttention::CausalSelfAttention(Context& context, const GptConfig& config, int64_t layer)
    : c_attn(context, config.n_embd, std::vector(3, config.n_embd), config.bias),
      c_proj(context, config.n_embd, config.n_embd, config.bias),
      context_(context),
      layer_(layer),
      n_head_(config.n_head) {
  add("c_attn", c_attn);
  add("c_proj", c_proj);
}

Tensor CausalSelfAttention::operator()(const Tensor& x, KvCache* cache, bool last_only) const {
  Tensor qkv = c_attn(x);  // [B, T, 3 C]: queries, keys, values
  Tensor y = cache ? cached(qkv, *cache) : context_.is_plain() ? plain(qkv) : fused(qkv);
  y = watch("attn.output", y);
  return c_proj(last_only ? last_position(y) : y);
}

// What `plain` computes, without ever holding the [T, T] matrices.
Tensor CausalSelfAttention::fused(const Tensor& qkv) const {
  return attention(qkv, n_head_, context_.next_dropout());
}

Tensor CausalSelfAttention::plain(const Tensor& qkv) const {
  const int64_t B = qkv.dim(0), T = qkv.dim(1), C = qkv.dim(2) / 3, H = n_head_, D = C / H;
  auto in_heads = [&](int64_t first) {  // [B, T, C] of the channels from `first` -> [B, H, T, D]
    return transpose(reshape(slice(qkv, -1, first, first + C), {B, T, H, D}), 1, 2);
  };
  Tensor q = watch("attn.q", in_heads(0)), k = watch("attn.k", in_heads(C)),
         v = watch("attn.v", in_heads(2 * C));

  Tensor scores = scale(matmul(q, k, {.transpose_b = true}), 1 / std::sqrt(double(D)));
  scores = watch("attn.scores", causal_mask(scores));                 // [B, H, T, T]
  Tensor p = watch("attn.probabilities", softmax(scores));            // [B, H, T, T]
  Tensor y = matmul(add_dropout({}, p, context_.next_dropout()), v);  // [B, H, T, D]
  return reshape(transpose(y, 1, 2), {B, T, C});
}

// Writes the new positions' keys and values to the cache, then attends over all that it holds.
Tensor CausalSelfAttention::cached(const Tensor& qkv, KvCache& cache) const {
  KvLayer& layer = cache.layers.at(size_t(layer_));
  return backend(qkv.array())->kv_cache.attention(qkv.array(), n_head_, layer, cache.positions());
}

Tensor CausalSelfAttention::watch(std::string_view point, const Tensor& x) const {
  return context_.watch(point, x, layer_);
}

}  // namespace folio
