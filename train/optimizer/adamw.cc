#include "train/optimizer/adamw.h"

namespace folio {

AdamW::AdamW(std::vector<Part> parts, const AdamWOptions& options, std::set<std::string> others)
    : Optimizer(std::move(parts)), options_(options), others_(std::move(others)) {
  for (const Part& part : parts_) {
    if (others_.contains(part.name)) continue;
    for (const char* kind : {"adamw/m/", "adamw/v/"}) add_state(kind + part.name, part);
  }
}

void AdamW::step(const Rates& rates, const Array& grad_scale,
                 const std::vector<Array>& only_if_finite) {
  make_state();
  std::vector<AdamWSlot> slots;
  std::vector<Parameter*> parameters;
  for (const Part& part : parts_) {
    if (others_.contains(part.name)) continue;
    const bool decays = part.parameter->shape().rank() >= 2;
    slots.push_back({.param = part.of(part.parameter->array()),
                     .grad = gradient_of(part, "AdamW::step"),
                     .m = state.at("adamw/m/" + part.name),
                     .v = state.at("adamw/v/" + part.name),
                     .weight_decay = decays ? rates.weight_decay : 0,
                     .rounded = copy_of(part)});
    parameters.push_back(part.parameter);
  }
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
