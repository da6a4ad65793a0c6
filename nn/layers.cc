#include "nn/layers.h"

#include "autograd/ops.h"

namespace folio {

Linear::Linear(const Context& context, int64_t in, int64_t out, bool with_bias)
    : Linear(context, in, std::vector{out}, with_bias) {}

Linear::Linear(const Context& context, int64_t in, std::vector<int64_t> outs, bool with_bias) {
  add_hidden("weight", weight, std::move(outs), in);
  if (with_bias) add("bias", bias, zeros({weight.shape()[0]}, DType::f32, context.device));
}

Tensor Linear::operator()(const Tensor& x) const { return linear(x, weight, bias); }

LayerNorm::LayerNorm(Context& context, const GptConfig& config)
    : context_(context), norm_(config.norm_of_rows()) {
  add("weight", weight, full({config.n_embd}, 1, DType::f32, context.device));
  if (config.bias && norm_.kind == NormKind::layer)
    add("bias", bias, zeros({config.n_embd}, DType::f32, context.device));
}

Tensor LayerNorm::operator()(Residual& x) const {
  return x.norm(weight, bias, norm_, context_.dtype);
}

void RmsWeight::add_weight(int64_t width, Device device) {
  add("weight", weight, full({width}, 1, DType::f32, device));
}

Tensor last_position(const Tensor& x) {
  return x.dim(1) == 1 ? x : slice(x, 1, x.dim(1) - 1, x.dim(1));
}

}  // namespace folio
