#include "train/optimizer/muon.h"

namespace folio {
namespace {

std::set<std::string> names_of_hidden(const Module& module) {
  std::set<std::string> names;
  module.hidden_matrices([&](const std::string& name, auto&) { names.insert(name); });
  return names;
}

}  // namespace

Muon::Muon(Module& module, std::vector<Part> parts, const AdamWOptions& options, DType products)
    : AdamW(std::move(parts), options, names_of_hidden(module)), products_(products) {
  module.hidden_matrices(
      [&](const std::string& name, const std::vector<int64_t>& rows) { matrices_[name] = rows; });
  for (const Part& part : parts_) {
    if (!matrices_.contains(part.name)) continue;
    check(part.is_whole(), "Muon: elements {} to {} of {}, but it updates whole matrices",
          part.begin, part.end, part.name);
    add_state("muon/momentum/" + part.name, part);
  }
}

void Muon::step(const Rates& rates, const Array& grad_scale,
                const std::vector<Array>& only_if_finite) {
  make_state();
  std::vector<MuonSlot> slots;
  std::vector<Parameter*> parameters;
  for (const Part& part : parts_) {
    auto matrix = matrices_.find(part.name);
    if (matrix == matrices_.end()) continue;
    slots.push_back({.param = part.parameter->array(),
                     .grad = gradient_of(part, "Muon::step"),
                     .momentum = state.at("muon/momentum/" + part.name),
                     .rows = matrix->second,
                     .weight_decay = rates.weight_decay,
                     .rounded = copy_of(part)});
    parameters.push_back(part.parameter);
  }
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
