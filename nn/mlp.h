#pragma once
#include "nn/gpt_config.h"
#include "nn/layers.h"

namespace folio {

// The feed-forward layer: F channels wide inside, by default 4 C.
class Mlp : public Module {
 public:
  Mlp(Context& context, const GptConfig& config, int64_t layer);

  // act(x c_fc) c_proj: x [B, T, C] -> [B, T, F] -> [B, T, C]. SwiGLU (Shazeer, 2020) has two
  // halves, [gate up] = x c_fc, of which silu(gate) up goes on.
  Tensor operator()(const Tensor& x) const;

  Linear c_fc, c_proj;

 private:
  Context& context_;
  const int64_t layer_;
  const Activation activation_;
};

}  // namespace folio
