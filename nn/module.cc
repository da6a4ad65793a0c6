#include "nn/module.h"

namespace folio {

void Module::parameters(const Visitor& visit, const std::string& prefix) {
  for (auto& [name, parameter] : parameters_) visit(prefix + name, *parameter);
  for (auto& [name, module] : modules_) module->parameters(visit, prefix + name + ".");
}

void Module::pack() {
  for (auto& [name, module] : modules_) module->pack();
}

void Module::add(const std::string& name, Parameter& parameter, Shape shape,
                 std::optional<double> value) {
  Array values(shape, DType::f32);
  if (value) backend(values).fill(values, *value);
  parameter = Tensor::leaf(values);
  parameters_.emplace_back(name, &parameter);
}

void Module::add(const std::string& name, Module& module) { modules_.emplace_back(name, &module); }

}  // namespace folio
