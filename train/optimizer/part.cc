#include "train/optimizer/part.h"

namespace folio {

Shape Part::shape() const { return is_whole() ? parameter->shape() : Shape{end - begin}; }

Array Part::of(const Array& whole) const {
  if (!whole.defined() || is_whole()) return whole;
  return whole.reshape({whole.size()}).slice(begin, end);
}

std::vector<Part> whole_parts(Module& module) {
  std::vector<Part> parts;
  module.parameters([&](const std::string& name, Parameter& parameter) {
    parts.push_back({name, &parameter, 0, parameter.shape().size()});
  });
  return parts;
}

}  // namespace folio
