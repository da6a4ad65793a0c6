#include "nn/mlp.h"

#include "autograd/ops.h"

namespace folio {

Mlp::Mlp(Context& context, const GptConfig& config, int64_t layer)
    : c_fc(context, config.n_embd, 4 * config.n_embd, config.bias),
      c_proj(context, 4 * config.n_embd, config.n_embd, config.bias),
      context_(context),
      layer_(layer),
      activation_(config.activation) {
  add("c_fc", c_fc);
  add("c_proj", c_proj);
}

Tensor Mlp::operator()(const Tensor& x) const {
  if (!context_.is_plain())
    return feed_forward(x, c_fc.weight, c_fc.bias, c_proj.weight, c_proj.bias, activation_);
  Tensor hidden = elementwise(activation_, c_fc(x));  // [B, T, 4 C]
  return c_proj(context_.watch("mlp.hidden", hidden, layer_));
}

}  // namespace folio
