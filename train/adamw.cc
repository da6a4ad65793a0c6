#include "train/adamw.h"

namespace folio {

AdamW::AdamW(Module& module, const AdamWOptions& options) : module_(module), options_(options) {
  module.parameters([&](const std::string& name, Parameter& p) {
    Array none = Array::shape_only(p.shape(), p.dtype());
    moments[name] = {none, none};
  });
}

void AdamW::make_moments() {
  module_.parameters([&](const std::string& name, Parameter& p) {
    Moments& state = moments.at(name);
    for (Array* moment : {&state.m, &state.v})
      if (!moment->defined()) *moment = zeros(p.shape(), p.dtype(), p.array().device());
  });
}

void AdamW::step(double learning_rate, const Array& grad_scale,
                 const std::vector<Array>& only_if_finite) {
  make_moments();
  std::vector<AdamWSlot> slots;
  std::vector<Parameter*> parameters;
  module_.parameters([&](const std::string& name, Parameter& p) {
    check(p.defined() && p.grad().defined(),
          "AdamW::step: parameter {} has no gradient; call backward() first", name);
    const Moments& state = moments.at(name);
    bool decays = p.shape().rank() >= 2;
    slots.push_back({.param = p.array(),
                     .grad = p.grad(),
                     .m = state.m,
                     .v = state.v,
                     .weight_decay = decays ? options_.weight_decay : 0,
                     .rounded = p.kept_copy()});
    parameters.push_back(&p);
  });
  backend(slots.front().param)
      ->optimizer.adamw(slots, {.learning_rate = learning_rate,
                                .beta1 = options_.beta1,
                                .beta2 = options_.beta2,
                                .step = ++steps,
                                .grad_scale = grad_scale,
                                .only_if_finite = only_if_finite});
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].rounded.defined()) parameters[i]->keep_copy(slots[i].rounded);
}

void AdamW::zero_grad() {
  module_.parameters([](const std::string&, Parameter& p) { p.zero_grad(); });
}

}  // namespace folio
