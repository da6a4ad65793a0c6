#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "configs/train_options.h"
#include "nn/module.h"

namespace folio {

// What a schedule decides for one step (train/schedule.h).
struct Rates {
  double learning_rate = 0;  // AdamW's
  double muon_lr = 0;
  double momentum = 0.95;     // Muon's
  double weight_decay = 0.1;  // of tensors of two or more dimensions
};

// Updates the parameters of a module, which must outlive it, from their gradients.
class Optimizer {
 public:
  explicit Optimizer(Module& module) : module_(module) {}
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update with every gradient multiplied by `grad_scale` (undefined: by 1). It changes nothing
  // but the count of steps unless all of `only_if_finite` (f32) are finite.
  virtual void step(const Rates& rates, const Array& grad_scale = {},
                    const std::vector<Array>& only_if_finite = {}) = 0;
  void zero_grad();

  // What a checkpoint must keep, by the names that it has there: an optimiser's constructor adds
  // its own, f32. At first shapes alone, which whoever resumes a run replaces by what it saved,
  // without memory for both.
  std::map<std::string, Array> state;
  // Zeros where nothing has been put: before they are saved; `step` does so by itself.
  void make_state();
  int64_t steps = 0;

 protected:
  Module& module_;
};

// What options.optimizer names.
std::unique_ptr<Optimizer> make_optimizer(Module& module, const TrainOptions& options);

// The L2 norm of the gradients of all parameters together, a scalar on the device. Error for a
// parameter without one.
Array grad_norm(Module& module);

}  // namespace folio
