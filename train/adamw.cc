#include "train/adamw.h"

namespace folio {

AdamW::AdamW(Module& module, const AdamWOptions& options, std::set<std::string> others)
    : Optimizer(module), options_(options), others_(std::move(others)) {
  module.parameters([&](const std::string& name, Parameter& p) {
    if (others_.contains(name)) return;
    for (const char* kind : {"adamw/m/", "adamw/v/"})
      state[kind + name] = Array::shape_only(p.shape(), p.dtype());
  });
}

void AdamW::step(const Rates& rates, const Array& grad_scale,
                 const std::vector<Array>& only_if_finite) {
  make_state();
  std::vector<AdamWSlot> slots;
  std::vector<Parameter*> parameters;
  module_.parameters([&](const std::string& name, Parameter& p) {
    if (others_.contains(name)) return;
    check(p.defined() && p.grad().defined(),
          "AdamW::step: parameter {} has no gradient; call backward() first", name);
    bool decays = p.shape().rank() >= 2;
    slots.push_back({.param = p.array(),
                     .grad = p.grad(),
                     .m = state.at("adamw/m/" + name),
                     .v = state.at("adamw/v/" + name),
                     .weight_decay = decays ? rates.weight_decay : 0,
                     .rounded = p.kept_copy()});
    parameters.push_back(&p);
  });
  ++steps;
  if (slots.empty()) return;
  backend(slots.front().param)
      ->optimizer.adamw(slots, {.learning_rate = rates.learning_rate,
                                .beta1 = options_.beta1,
                                .beta2 = options_.beta2,
                                .step = steps,
                                .grad_scale = grad_scale,
                                .only_if_finite = only_if_finite});
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].rounded.defined()) parameters[i]->keep_copy(slots[i].rounded);
}

}  // namespace folio
