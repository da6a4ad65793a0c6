#pragma once
#include <map>
#include <string>

#include "data/hugging_face/gpt2_config.h"
#include "nn/gpt_config.h"

namespace folio {

// The fields of a model and the keys of its config.json, which says the same of a GPT-2.
GptConfig gpt_config(const Gpt2Config& config);
// `rows` of the token embedding are written. Throws Error, naming the field, for a model that is no
// GPT-2: it would not come back as it is. But for dropout, which is for training, and biases: a
// model without them gets zeros.
Gpt2Config gpt2_config(const GptConfig& config, int64_t rows);

// `back` is what a reader of the model's export would get. Throws Error, naming the field, if one
// of its fields (each_field) differs from the model's.
template <class Config>
void check_comes_back(const Config& model, const Config& back) {
  std::map<std::string, std::string> said;
  each_field(back, [&](const char* name, const auto& field, auto) {
    said[name] = fmt::format("{}", field);
  });
  each_field(model, [&](const char* name, const auto& field, auto) {
    std::string value = fmt::format("{}", field);
    check(said.at(name) == value,
          "export: the model has {} = {}; a GPT-2 of Hugging Face's has {}, and cannot say it",
          name, value, said.at(name));
  });
}

}  // namespace folio
