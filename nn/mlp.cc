#include "nn/mlp.h"

#include "autograd/ops.h"

namespace folio {

Mlp::Mlp(Context& context, const GptConfig& config, int64_t layer)
    : c_fc(context, config.n_embd, std::vector(config.activation.is_gated ? 2 : 1, config.hidden()),
           config.bias),
      c_proj(context, config.hidden(), config.n_embd, config.bias),
      context_(context),
      layer_(layer),
      activation_(config.activation) {
  add("c_fc", c_fc);
  add("c_proj", c_proj);
}

Tensor Mlp::operator()(const Tensor& x) const {
  if (!context_.is_plain())
    return feed_forward(x, c_fc.weight, c_fc.bias, c_proj.weight, c_proj.bias, activation_);
  Tensor hidden = c_fc(x);
  if (activation_.is_gated) {
    const int64_t F = hidden.dim(-1) / 2;
    hidden = silu(slice(hidden, -1, 0, F)) * slice(hidden, -1, F, 2 * F);
  } else {
    hidden = elementwise(activation_.op, hidden);  // [B, T, F]
  }
  return c_proj(context_.watch("mlp.hidden", hidden, layer_));
}

}  // namespace folio
