#include "nn/layers.h"

#include "autograd/ops.h"

namespace folio {

Linear::Linear(int64_t in, int64_t out, bool with_bias) {
  add("weight", weight, {out, in});
  if (with_bias) add("bias", bias, {out}, 0);
}

Tensor Linear::operator()(const Tensor& x) const { return linear(x, weight, bias); }

LayerNorm::LayerNorm(Context& context, int64_t channels, bool with_bias) : context_(context) {
  add("weight", weight, {channels}, 1);
  if (with_bias) add("bias", bias, {channels}, 0);
}

Tensor LayerNorm::operator()(const Tensor& x) const {
  return layer_norm(x, weight, bias, context_.dtype);
}

}  // namespace folio
