#include "train/optimizer/average.h"

#include <algorithm>

namespace folio {

void Average::update(int64_t step, const std::vector<Array>& only_if_finite) {
  std::vector<AverageSlot> slots;
  module_.parameters([&](const std::string& name, Parameter& p) {
    Array& average = values[name];
    if (!average.defined())
      average = backend(p.array())->elementwise.cast(p.array(), p.dtype());
    else
      slots.push_back({average, p.array()});
  });
  if (slots.empty()) return;
  const double decay = std::min(decay_, double(1 + step) / double(10 + step));
  backend(slots.front().param)->optimizer.average(slots, decay, only_if_finite);
}

Average::InPlace::InPlace(const Average& average) {
  if (average.values.empty()) return;
  average.module_.parameters([&](const std::string& name, Parameter& p) {
    own_.emplace_back(&p, std::exchange(p, Parameter::leaf(average.values.at(name))));
  });
}

Average::InPlace::~InPlace() {
  for (auto& [parameter, own] : own_) *parameter = std::move(own);
}

}  // namespace folio
