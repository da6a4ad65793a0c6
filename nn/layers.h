#pragma once
#include "nn/context.h"
#include "nn/gpt_config.h"
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

// LayerNorm (Ba et al., 2016) or RMSNorm (Zhang & Sennrich, 2019).
class LayerNorm : public Module {
 public:
  LayerNorm(Context& context, const GptConfig& config);
  // layer: (x - mean) / sqrt(variance + eps) w + b (if wanted); rms: x / sqrt(mean(x^2) + eps) w,
  // over the last dimension: x [..., C], w [C], b [C] -> [..., C] in the dtype that the next matrix
  // multiplies
  Tensor operator()(Residual& x) const;

  Parameter weight, bias;

 private:
  Context& context_;
  const Norm norm_;
};

// The weight [width] of a norm that another op applies.
class RmsWeight : public Module {
 public:
  void add_weight(int64_t width, Device device);
  Parameter weight;
};

// x [B, T, C] -> [B, 1, C]: its last position.
Tensor last_position(const Tensor& x);

}  // namespace folio
