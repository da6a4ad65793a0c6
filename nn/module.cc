#include "nn/module.h"

#include <numeric>

namespace folio {

void Module::parameters(const Visitor& visit, const std::string& prefix) {
  for (auto& [name, parameter] : parameters_) visit(prefix + name, *parameter);
  for (auto& [name, module] : modules_) module->parameters(visit, prefix + name + ".");
}

void Module::weights(const WeightVisitor& visit, const std::string& prefix) {
  for (auto& [name, weight] : weights_) visit(prefix + name, *weight);
  for (auto& [name, module] : modules_) module->weights(visit, prefix + name + ".");
}

void Module::hidden_matrices(const HiddenVisitor& visit, const std::string& prefix) const {
  for (const auto& [name, rows] : hidden_) visit(prefix + name, rows);
  for (const auto& [name, module] : modules_) module->hidden_matrices(visit, prefix + name + ".");
}

void Module::pack(WeightFormat format) {
  weights([&](const std::string&, Weight& weight) { weight.pack(format); });
}

void Module::add(const std::string& name, Parameter& parameter, Shape shape) {
  add(name, parameter, Array::shape_only(shape, DType::f32));
}

void Module::add(const std::string& name, Parameter& parameter, Array values) {
  parameter = Tensor::leaf(std::move(values));
  parameters_.emplace_back(name, &parameter);
}

void Module::add(const std::string& name, Weight& weight, Shape shape) {
  add(name, weight.dense, shape);
  weights_.emplace_back(name, &weight);
}

void Module::add_hidden(const std::string& name, Weight& weight, std::vector<int64_t> rows,
                        int64_t in) {
  add(name, weight, {std::accumulate(rows.begin(), rows.end(), int64_t{0}), in});
  hidden_.emplace_back(name, std::move(rows));
}

void Module::add(const std::string& name, Module& module) { modules_.emplace_back(name, &module); }

}  // namespace folio
