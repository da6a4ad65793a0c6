#include "train/optimizer/optimizer.h"

#include "train/optimizer/adamw.h"
#include "train/optimizer/muon.h"

namespace folio {

void Optimizer::add_state(const std::string& name, const Part& part) {
  state[name] = Array::shape_only(part.shape(), part.parameter->dtype());
  part_of_[name] = &part;
}

void Optimizer::zero_grad() {
  for (const Part& part : parts_) part.parameter->zero_grad();
}

void Optimizer::make_state() {
  for (auto& [name, values] : state)
    if (!values.defined())
      values = zeros(values.shape(), values.dtype(), part_of(name).parameter->array().device());
}

Array Optimizer::gradient_of(const Part& part, const char* what) {
  const Array grad = part.parameter->defined() ? part.grad() : Array{};
  check(grad.defined(), "{}: parameter {} has no gradient; call backward() first", what, part.name);
  return grad;
}

Array Optimizer::copy_of(const Part& part) {
  return part.is_whole() ? part.parameter->kept_copy() : Array{};
}

std::unique_ptr<Optimizer> make_optimizer(Module& module, const TrainOptions& options) {
  return make_optimizer(module, whole_parts(module), options);
}

std::unique_ptr<Optimizer> make_optimizer(Module& module, std::vector<Part> parts,
                                          const TrainOptions& options) {
  const AdamWOptions adamw{.beta1 = options.beta1, .beta2 = options.beta2};
  if (options.optimizer == "muon")
    return std::make_unique<Muon>(module, std::move(parts), adamw, dtype_named(options.dtype));
  return std::make_unique<AdamW>(std::move(parts), adamw);
}

Array grad_norm(const std::vector<Part>& parts) {
  std::vector<Array> grads;
  for (const Part& part : parts) {
    grads.push_back(part.grad());
    check(grads.back().defined(), "grad_norm: parameter {} has no gradient; call backward() first",
          part.name);
  }
  return backend(grads.front())->optimizer.norm(grads);
}

Array grad_norm(Module& module) { return grad_norm(whole_parts(module)); }

}  // namespace folio
