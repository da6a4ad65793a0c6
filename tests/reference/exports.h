#pragma once
#include <fstream>
#include <memory>
#include <ostream>

#include "nn/gpt.h"
#include "tests/paths.h"
#include "tests/reference/figures.h"

// The cases of exports.json (README.md).
namespace folio::reference {

inline json export_cases() {
  std::ifstream in(source_path("tests/reference/exports.json"));
  return json::parse(in).at("cases");
}

// folio's model of the case. Of each parameter the file has the tensors of transformers' that lie
// below each other in it.
inline std::unique_ptr<Gpt> model_of(const json& one) {
  GptConfig config;
  each_field(config, [&fields = one.at("model")](const char* name, auto& field, auto) {
    if (!fields.contains(name)) return;
    if constexpr (std::is_same_v<decltype(field), Activation&>)
      field = Activation::named(fields.at(name).template get<std::string>());
    else
      fields.at(name).get_to(field);
  });
  auto model = std::make_unique<Gpt>(config, test_device());
  model->parameters([&](const std::string& name, Parameter& parameter) {
    std::vector<float> all;
    for (const json& spec : one.at("weights").at(name)) {
      std::vector<float> part = to_vector<float>(values_of(spec));
      all.insert(all.end(), part.begin(), part.end());
    }
    parameter = Parameter::leaf(to_array(all, parameter.shape()));
  });
  return model;
}

}  // namespace folio::reference
