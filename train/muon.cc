#include "train/muon.h"

namespace folio {
namespace {

std::set<std::string> names_of_hidden(const Module& module) {
  std::set<std::string> names;
  module.hidden_matrices([&](const std::string& name, auto&) { names.insert(name); });
  return names;
}

}  // namespace

Muon::Muon(Module& module, const AdamWOptions& options, DType products)
    : AdamW(module, options, names_of_hidden(module)), products_(products) {
  module.hidden_matrices(
      [&](const std::string& name, const std::vector<int64_t>& rows) { matrices_[name] = rows; });
  module.parameters([&](const std::string& name, Parameter& p) {
    if (matrices_.contains(name))
      state["muon/momentum/" + name] = Array::shape_only(p.shape(), p.dtype());
  });
}

void Muon::step(const Rates& rates, const Array& grad_scale,
                const std::vector<Array>& only_if_finite) {
  make_state();
  std::vector<MuonSlot> slots;
  std::vector<Parameter*> parameters;
  module_.parameters([&](const std::string& name, Parameter& p) {
    auto matrix = matrices_.find(name);
    if (matrix == matrices_.end()) return;
    check(p.defined() && p.grad().defined(),
          "Muon::step: parameter {} has no gradient; call backward() first", name);
    slots.push_back({.param = p.array(),
                     .grad = p.grad(),
                     .momentum = state.at("muon/momentum/" + name),
                     .rows = matrix->second,
                     .weight_decay = rates.weight_decay,
                     .rounded = p.kept_copy()});
    parameters.push_back(&p);
  });
  AdamW::step(rates, grad_scale, only_if_finite);
  if (slots.empty()) return;
  backend(slots.front().param)
      ->optimizer.muon(slots, {.learning_rate = rates.muon_lr,
                               .momentum = rates.momentum,
                               .products = products_,
                               .grad_scale = grad_scale,
                               .only_if_finite = only_if_finite});
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].rounded.defined()) parameters[i]->keep_copy(slots[i].rounded);
}

}  // namespace folio
