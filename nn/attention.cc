#include "nn/attention.h"

#include <cmath>
#include <limits>

#include "autograd/ops.h"

namespace folio {
namespace {

// 0 where the query of row t [T, T] sees the key, -infinity for those that have left its window.
Tensor window_mask(int64_t T, int64_t window, DType dtype, Device device) {
  std::vector<float> hidden(size_t(T * T), 0.0f);
  for (int64_t t = 0; t < T; ++t)
    for (int64_t key = 0; key + window <= t; ++key)
      hidden[size_t(t * T + key)] = -std::numeric_limits<float>::infinity();
  return cast(to_array(hidden, {T, T}, device), dtype);
}

// Llama's rotary positions: x [B, H, T, D], rotations [B or 1, T, D], cosines then sines. Element i
// of a head's first half is turned with element i of its second.
Tensor rotated(const Tensor& x, const Array& rotations) {
  const int64_t T = x.dim(2), D = x.dim(3);
  const Tensor table = cast(rotations.reshape({rotations.dim(0), 1, T, D}), x.dtype());
  const Tensor cos = slice(table, -1, 0, D / 2), sin = slice(table, -1, D / 2, D);
  const Tensor a = slice(x, -1, 0, D / 2), b = slice(x, -1, D / 2, D);
  return concat({a * cos - b * sin, b * cos + a * sin}, -1);
}

}  // namespace

CausalSelfAttention::CausalSelfAttention(Context& context, const GptConfig& config, int64_t layer)
    : c_attn(
          context, config.n_embd,
          {config.heads().channels(), config.heads().kv_channels(), config.heads().kv_channels()},
          config.bias),
      c_proj(context, config.heads().channels(), config.n_embd, config.bias),
      context_(context),
      layer_(layer),
      heads_(config.heads()),
      norm_eps_(config.norm_eps),
      norms_qk_(config.qk_norm != "off") {
  add("c_attn", c_attn);
  if (config.qk_norm == "rms_learned") {
    for (RmsWeight* norm : {&q_norm, &k_norm}) norm->add_weight(heads_.width, context.device);
    add("q_norm", q_norm);
    add("k_norm", k_norm);
  }
  add("c_proj", c_proj);
}

Tensor CausalSelfAttention::operator()(const Tensor& x, const Array& rotations, KvCache* cache,
                                       bool last_only) const {
  Tensor qkv = c_attn(x);  // [B, T, (H + 2 K) D]: queries, keys, values
  Tensor y = cache                 ? cached(qkv, rotations, *cache)
             : context_.is_plain() ? plain(qkv, rotations)
                                   : fused(qkv, rotations);
  y = watch("attn.output", y);
  return c_proj(last_only ? last_position(y) : y);
}

// What `plain` computes, without ever holding the [T, T] matrices.
Tensor CausalSelfAttention::fused(const Tensor& qkv, const Array& rotations) const {
  return attention(rotary(qkv, heads_, qk_norm(), rotations), heads_, context_.next_dropout());
}

Tensor CausalSelfAttention::plain(const Tensor& qkv, const Array& rotations) const {
  const int64_t B = qkv.dim(0), T = qkv.dim(1);
  const int64_t H = heads_.n_head, K = heads_.n_kv_head, D = heads_.width;
  auto in_heads = [&](int64_t first, int64_t n) {  // n heads from column `first` -> [B, n, T, D]
    return transpose(reshape(slice(qkv, -1, first, first + n * D), {B, T, n, D}), 1, 2);
  };
  Tensor q = in_heads(0, H), k = in_heads(H * D, K), v = in_heads((H + K) * D, K);
  if (norms_qk_) {
    q = rms_norm(q, q_norm.weight, norm_eps_);
    k = rms_norm(k, k_norm.weight, norm_eps_);
  }
  if (rotations.defined()) {
    q = rotated(q, rotations);
    k = rotated(k, rotations);
  }
  q = watch("attn.q", q), k = watch("attn.k", k), v = watch("attn.v", v);

  // The H / K heads of queries that share a head of keys are the rows of one product.
  q = reshape(q, {B, K, H / K * T, D});
  Tensor scores = scale(matmul(q, k, {.transpose_b = true}), 1 / std::sqrt(double(D)));
  scores = causal_mask(reshape(scores, {B, H, T, T}));
  if (heads_.window > 0)
    scores = scores + window_mask(T, heads_.window, scores.dtype(), context_.device);
  scores = watch("attn.scores", scores);                    // [B, H, T, T]
  Tensor p = watch("attn.probabilities", softmax(scores));  // [B, H, T, T]
  p = reshape(add_dropout({}, p, context_.next_dropout()), {B, K, H / K * T, T});
  Tensor y = reshape(matmul(p, v), {B, H, T, D});
  return reshape(transpose(y, 1, 2), {B, T, H * D});
}

// Writes the new positions' keys and values to the cache, then attends over all that it holds.
Tensor CausalSelfAttention::cached(const Tensor& qkv, const Array& rotations,
                                   KvCache& cache) const {
  const Array ready = rotary(qkv, heads_, qk_norm(), rotations).array();
  KvLayer& layer = cache.layers.at(size_t(layer_));
  return backend(ready)->kv_cache.attention(ready, heads_, layer, cache.positions());
}

QkNorm CausalSelfAttention::qk_norm() const {
  return {norms_qk_, norm_eps_, q_norm.weight, k_norm.weight};
}

Tensor CausalSelfAttention::watch(std::string_view point, const Tensor& x) const {
  return context_.watch(point, x, layer_);
}

}  // namespace folio
