#pragma once
#include <string>
#include <variant>

#include "data/hugging_face/gpt2_config.h"
#include "data/hugging_face/llama_config.h"

namespace folio {

// The config.json of one of the layouts.
using LayoutConfig = std::variant<Gpt2Config, LlamaConfig>;

// By its model_type: a GPT-2 without one. Throws Error for a model that is none of the three, and
// as load_gpt2_config and load_llama_config do.
LayoutConfig load_layout_config(const std::string& path);

}  // namespace folio
