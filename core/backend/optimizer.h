#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/array.h"

namespace folio {

// One parameter as the optimiser sees it: Arrays of one shape, all f32 or all f64. All but `grad`
// are written.
struct AdamWSlot {
  Array param, grad, m, v;
  double weight_decay = 0;
  Array rounded = {};  // optional, bf16: receives the new param too, cast
};
struct AdamWStep {
  double learning_rate = 0, beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  int64_t step = 1;  // counts from 1, for the bias correction
  Array grad_scale;  // [] f32: gradients are multiplied by it first; undefined: by 1
  // f32, any shapes: if an element of one is NaN or infinite, no param, m, v or rounded changes.
  // The device decides that, and the host does not wait for it.
  std::vector<Array> only_if_finite = {};
};

class OptimizerOps {
 public:
  virtual ~OptimizerOps() = default;

  // L2 norm of all elements together, of any floating types; long sums in f64 -> [] f32
  virtual Array norm(std::span<const Array> arrays) = 0;
  // min(1, limit / (norm + 1e-6)), NaN for NaN -> [] f32: torch.nn.utils.clip_grad_norm_
  virtual Array clip_scale(const Array& norm, double limit) = 0;
  // Loshchilov & Hutter, "Decoupled weight decay regularization", 2019, as torch.optim.AdamW has
  // it, in one pass over every slot, with g = grad_scale grad and t = step:
  //   m += (1 - beta1) (g - m)
  //   v = beta2 v + (1 - beta2) g^2
  //   param = (1 - learning_rate weight_decay) param
  //           - learning_rate / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
  virtual void adamw(std::span<const AdamWSlot> slots, const AdamWStep& step) = 0;
};

}  // namespace folio
