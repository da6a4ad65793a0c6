#pragma once
#include <string>
#include <vector>

#include "core/check.h"
#include "data/hugging_face/layout_config.h"
#include "nn/gpt_config.h"

namespace folio {

// The fields of a model and the keys of its config.json, which says the same of a GPT-2, a Llama or
// a Qwen3.
GptConfig gpt_config(const Gpt2Config& config);
GptConfig gpt_config(const LlamaConfig& config);

// The config.json of a model's export, of which `rows` of the token embedding are written: a
// GPT-2's, a Llama's or a Qwen3's, whichever says all of its fields. Dropout, which is for
// training, may differ, and a GPT-2 without biases gets zeros. Throws Error for any other model,
// with the fields in which it differs from the nearest of the three: it would not come back as it
// is.
LayoutConfig export_config(const GptConfig& config, int64_t rows);
// The class of transformers' that computes it: "GPT2LMHeadModel".
std::string architecture(const LayoutConfig& config);

struct Difference {
  std::string field, value, other;
};

// The fields (each_field) in which `other` is not as `config`.
template <class Config>
std::vector<Difference> differences(const Config& config, const Config& other) {
  std::vector<Difference> all;
  each_field(config, [&](const char* name, const auto& field, auto) {
    all.push_back({name, fmt::format("{}", field), ""});
  });
  size_t i = 0;
  each_field(other, [&](const char*, const auto& field, auto) {
    all.at(i++).other = fmt::format("{}", field);
  });
  std::erase_if(all, [](const Difference& one) { return one.value == one.other; });
  return all;
}

}  // namespace folio
