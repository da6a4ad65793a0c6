#include "nn/module.h"

namespace folio {

void Module::parameters(const Visitor& visit, const std::string& prefix) {
  for (auto& [name, parameter] : parameters_) visit(prefix + name, *parameter);
  for (auto& [name, module] : modules_) module->parameters(visit, prefix + name + ".");
}

void Module::pack(const PackOptions& options) {
  packed_weights([&](const std::string&, Parameter& weight, PackedWeight& packed) {
    const Array& values = weight.array();
    check(values.defined(), "pack: the weights have been packed and released already");
    packed = backend(values).pack(values, options.format);
    if (options.release) weight = Tensor::leaf(Array::shape_only(values.shape(), values.dtype()));
  });
}

void Module::packed_weights(const PackedVisitor& visit, const std::string& prefix) {
  for (auto& [name, module] : modules_) module->packed_weights(visit, prefix + name + ".");
}

void Module::add(const std::string& name, Parameter& parameter, Shape shape) {
  add(name, parameter, Array::shape_only(shape, DType::f32));
}

void Module::add(const std::string& name, Parameter& parameter, Array values) {
  parameter = Tensor::leaf(std::move(values));
  parameters_.emplace_back(name, &parameter);
}

void Module::add(const std::string& name, Module& module) { modules_.emplace_back(name, &module); }

}  // namespace folio
