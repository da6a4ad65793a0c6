#pragma once
#include "nn/attention.h"
#include "nn/mlp.h"

namespace folio {

// The pre-norm transformer block of GPT-2 (Radford et al., 2019).
class Block : public Module {
 public:
  Block(Context& context, const GptConfig& config, int64_t layer);

  // x = x + dropout(attn(ln_1(x)))
  // x = x + dropout(mlp(ln_2(x)))        x [B, T, C] -> [B, T, C]
  // With `last_only` the second line is computed for the last position alone -> [B, 1, C].
  void operator()(Residual& x, const Array& rotations, KvCache* cache,
                  bool last_only = false) const;

  LayerNorm ln_1;
  CausalSelfAttention attn;
  LayerNorm ln_2;
  Mlp mlp;

 private:
  // x = x + dropout(y), which is the `point` to watch
  void add_to(Residual& x, const Tensor& y, std::string_view point) const;

  Context& context_;
  const int64_t layer_;
};

}  // namespace folio
