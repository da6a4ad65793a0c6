#include "train/grad_norm.h"

#include <vector>

namespace folio {

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
