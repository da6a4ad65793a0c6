#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "configs/train_options.h"
#include "train/optimizer/part.h"

namespace folio {

// What a schedule decides for one step (train/optimizer/schedule.h).
struct Rates {
  double learning_rate = 0;  // AdamW's
  double muon_lr = 0;
  double momentum = 0.95;     // Muon's
  double weight_decay = 0.1;  // of tensors of two or more dimensions
};

// Updates parameters, which must outlive it, from their gradients.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update with every gradient multiplied by `grad_scale` (undefined: by 1). It changes nothing
  // but the count of steps unless all of `only_if_finite` (f32) are finite.
  virtual void step(const Rates& rates, const Array& grad_scale = {},
                    const std::vector<Array>& only_if_finite = {}) = 0;
  void zero_grad();

  // What a checkpoint must keep, by the names that it has there: an optimiser's constructor adds
  // its own, f32, of the shape of its part of a parameter. At first shapes alone, which whoever
  // resumes a run replaces by what it saved, without memory for both.
  std::map<std::string, Array> state;
  // The part of a parameter that a state belongs to.
  const Part& part_of(const std::string& state_name) const { return *part_of_.at(state_name); }
  // Zeros where nothing has been put: before they are saved; `step` does so by itself.
  void make_state();
  int64_t steps = 0;

 protected:
  explicit Optimizer(std::vector<Part> parts) : parts_(std::move(parts)) {}
  void add_state(const std::string& name, const Part& part);
  // `part`'s gradient; Error, which begins with `what`, if it has none.
  static Array gradient_of(const Part& part, const char* what);
  // The copy of the parameter in another dtype that the update writes too; undefined if there is
  // none, or if the update sees a part of it alone.
  static Array copy_of(const Part& part);

  const std::vector<Part> parts_;

 private:
  std::map<std::string, const Part*> part_of_;
};

// What options.optimizer names, for all of a module or for these parts of its parameters.
std::unique_ptr<Optimizer> make_optimizer(Module& module, const TrainOptions& options);
std::unique_ptr<Optimizer> make_optimizer(Module& module, std::vector<Part> parts,
                                          const TrainOptions& options);

// The L2 norm of all gradients together, a scalar on the device. Error for a parameter without one.
Array grad_norm(const std::vector<Part>& parts);
Array grad_norm(Module& module);

}  // namespace folio
