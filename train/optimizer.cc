#include "train/optimizer.h"

#include "train/adamw.h"
#include "train/muon.h"

namespace folio {

void Optimizer::zero_grad() {
  module_.parameters([](const std::string&, Parameter& p) { p.zero_grad(); });
}

void Optimizer::make_state() {
  Device device = cpu;
  module_.parameters([&](const std::string&, Parameter& p) { device = p.array().device(); });
  for (auto& [name, values] : state)
    if (!values.defined()) values = zeros(values.shape(), values.dtype(), device);
}

std::unique_ptr<Optimizer> make_optimizer(Module& module, const TrainOptions& options) {
  const AdamWOptions adamw{.beta1 = options.beta1, .beta2 = options.beta2};
  if (options.optimizer == "muon")
    return std::make_unique<Muon>(module, adamw, dtype_named(options.dtype));
  return std::make_unique<AdamW>(module, adamw);
}

Array grad_norm(Module& module) {
  std::vector<Array> grads;
  module.parameters([&](const std::string& name, Parameter& p) {
    check(p.grad().defined(), "grad_norm: parameter {} has no gradient; call backward() first",
          name);
    grads.push_back(p.grad());
  });
  return backend(grads.front())->optimizer.norm(grads);
}

}  // namespace folio
