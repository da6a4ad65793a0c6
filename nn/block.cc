#include "nn/block.h"

#include "autograd/ops.h"

namespace folio {

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
  Tensor y = attn(ln_1(input), cache, last_only), x = last_only ? last_position(input) : input;
  x = context_.watch("residual", add_dropout(x, y, context_.next_dropout()), layer_);
  y = mlp(ln_2(x));
  return context_.watch("output", add_dropout(x, y, context_.next_dropout()), layer_);
}

}  // namespace folio
