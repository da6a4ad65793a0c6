#include "nn/block.h"

#include "autograd/ops.h"

namespace folio {
namespace {

// [B, T, C] -> [B, 1, C]
Tensor last_position(const Tensor& x) {
  return x.dim(1) == 1 ? x : slice(x, 1, x.dim(1) - 1, x.dim(1));
}

}  // namespace

Block::Block(Context& context, const GptConfig& config, int64_t layer)
    : ln_1(context, config.n_embd, config.bias),
      attn(context, config, layer),
      ln_2(context, config.n_embd, config.bias),
      mlp(context, config, layer),
      context_(context),
      layer_(layer) {
  add("ln_1", ln_1);
  add("attn", attn);
  add("ln_2", ln_2);
  add("mlp", mlp);
}

Tensor Block::operator()(const Tensor& input, KvCache* cache, bool last_only) const {
  Tensor x = input, y = attn(ln_1(x), cache);
  if (last_only) x = last_position(x), y = last_position(y);
  x = context_.watch("residual", add_dropout(x, y, context_.next_dropout()), layer_);
  y = mlp(ln_2(x));
  return context_.watch("output", add_dropout(x, y, context_.next_dropout()), layer_);
}

}  // namespace folio
