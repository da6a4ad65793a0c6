#pragma once
#include "nn/context.h"
#include "nn/module.h"
#include "nn/residual.h"

namespace folio {

// The affine map between hidden layers, or several of one input whose outputs lie side by side, as
// queries, keys and values do; `weight` starts as a shape alone: the model draws or loads it.
class Linear : public Module {
 public:
  Linear(const Context& context, int64_t in, int64_t out, bool bias);
  Linear(const Context& context, int64_t in, std::vector<int64_t> outs, bool bias);
  // x W^T + b: x [..., in], W [out, in], b [out] (if wanted) -> [..., out]
  Tensor operator()(const Tensor& x) const;

  Weight weight;
  Parameter bias;
};

// Ba et al., "Layer normalization", 2016.
class LayerNorm : public Module {
 public:
  LayerNorm(Context& context, int64_t channels, bool bias);
  // (x - mean) / sqrt(variance + eps) w + b over the last dimension: x [..., C], w [C], b [C] (if
  // wanted) -> [..., C] in the dtype that the next matrix multiplies
  Tensor operator()(Residual& x) const;

  Parameter weight, bias;

 private:
  Context& context_;
};

// x [B, T, C] -> [B, 1, C]: its last position.
Tensor last_position(const Tensor& x);

}  // namespace folio
