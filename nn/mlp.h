#pragma once
#include "nn/gpt_config.h"
#include "nn/layers.h"

namespace folio {

// The feed-forward layer, four times as wide inside.
class Mlp : public Module {
 public:
  Mlp(Context& context, const GptConfig& config, int64_t layer);

  // act(x c_fc) c_proj: x [B, T, C] -> [B, T, 4 C] -> [B, T, C]
  Tensor operator()(const Tensor& x) const;

  Linear c_fc, c_proj;

 private:
  Context& context_;
  const int64_t layer_;
  const Unary activation_;
};

}  // namespace folio
