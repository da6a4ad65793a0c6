#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/array.h"

namespace folio {

// One parameter as the optimiser sees it. All [n], f32 (or all f64).
struct AdamWSlot {
  Array param, grad, m, v;
  double weight_decay = 0;
  Array rounded = {};  // optional, bf16: receives the new param too, rounded as a cast rounds
};
struct AdamWStep {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  int64_t step = 1;  // counts from 1, for the bias correction
  Array grad_scale;  // [] f32: gradients are multiplied by it first; undefined: by 1
  std::vector<Array> only_if_finite =
      {};  // f32: nothing is changed unless every element of them is
};

class OptimizerOps {
 public:
  virtual ~OptimizerOps() = default;

  // L2 norm of all elements together -> [] f32
  virtual Array norm(std::span<const Array> arrays) = 0;
  // min(1, limit / (norm + 1e-6)) as a scalar on the device: torch.nn.utils.clip_grad_norm_
  virtual Array clip_scale(const Array& norm, double limit) = 0;
  // Loshchilov & Hutter, "Decoupled weight decay regularization", 2019; one pass over every slot.
  virtual void adamw(std::span<const AdamWSlot> slots, const AdamWStep& step) = 0;
};

}  // namespace folio
