#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/array.h"

namespace folio {

// Newton-Schulz's iteration as Muon takes it: x / |x| (Frobenius), then five times
//   A = x x^T,  x = (a I + b A + c A^2) x
// whose coefficients raise small singular values as fast as can be, and leave those of a matrix of
// full rank between 0.68 and 1.21, which does as well as 1.
struct NewtonSchulz {
  static constexpr int steps = 5;
  static constexpr float a = 3.4445f, b = -4.7750f, c = 2.0315f, eps = 1e-7f;
};

// One parameter as AdamW sees it: Arrays of one shape, all f32 or all f64. All but `grad`
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

// A parameter that Muon updates: f32 Arrays of one shape, [N, K]. All but `grad` are written.
struct MuonSlot {
  Array param, grad, momentum;
  // The rows of each of the matrices that lie in it, one below the other; their sum is N.
  std::vector<int64_t> rows;
  double weight_decay = 0;
  Array rounded = {};  // as an AdamWSlot's
};
struct MuonStep {
  double learning_rate = 0, momentum = 0.95;
  // f32, or bf16: the type of the operands of Newton-Schulz's products, whose sums are f32 either
  // way. A device may take f32 where bf16 gains it nothing.
  DType products = DType::f32;
  Array grad_scale;  // as an AdamWStep's
  std::vector<Array> only_if_finite = {};
};

// An average of a parameter over the steps: Arrays of one shape, f32. `average` is written.
struct AverageSlot {
  Array average, param;
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
  // Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024, for each matrix
  // of every slot, [n, K], with g = grad_scale grad:
  //   momentum = step.momentum momentum + g
  //   u = NewtonSchulz(g + step.momentum momentum)                    (Nesterov)
  //   param = (1 - learning_rate weight_decay) param - learning_rate max(1, n / K)^0.5 u
  virtual void muon(std::span<const MuonSlot> slots, const MuonStep& step) = 0;
  // average += (1 - decay) (param - average) for every slot, unless a number in one of
  // `only_if_finite` (f32) is NaN or infinite.
  virtual void average(std::span<const AverageSlot> slots, double decay,
                       const std::vector<Array>& only_if_finite) = 0;
};

}  // namespace folio
