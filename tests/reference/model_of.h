#pragma once
#include <map>
#include <memory>

#include "nn/gpt.h"
#include "tests/reference/figures.h"

namespace folio::reference {

// A case's model, with the weights that PyTorch's had.
inline std::unique_ptr<Gpt> model_of(const json& expected) {
  GptConfig config{.bias = expected.at("bias"),
                   .activation = Activation::named(expected.value("gelu", "gelu_erf"))};
  each_field(config, [&shape = expected.at("model")](const char* name, auto& field, auto) {
    if (!shape.contains(name)) return;
    if constexpr (std::is_same_v<decltype(field), Activation&>)
      field = Activation::named(shape.at(name).template get<std::string>());
    else
      shape.at(name).get_to(field);
  });
  auto gpt = std::make_unique<Gpt>(config, test_device(), 1);
  std::map<std::string, Array> weights;
  for (const json& spec : expected.at("weights")) weights[spec.at("name")] = values_of(spec);
  gpt->parameters([&](const std::string& name, Parameter& p) { p.assign(weights.at(name)); });
  return gpt;
}

}  // namespace folio::reference
