#include "checkpoint/tensor_names.h"

#include <map>
#include <vector>

namespace folio {
namespace {

using Names = std::map<std::string, std::vector<std::string>>;
// By a layer's name in a block, and outside the blocks.
const Names llama_block{
    {"ln_1", {"input_layernorm"}},
    {"attn.c_attn", {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}},
    {"attn.q_norm", {"self_attn.q_norm"}},
    {"attn.k_norm", {"self_attn.k_norm"}},
    {"attn.c_proj", {"self_attn.o_proj"}},
    {"ln_2", {"post_attention_layernorm"}},
    {"mlp.c_fc", {"mlp.gate_proj", "mlp.up_proj"}},
    {"mlp.c_proj", {"mlp.down_proj"}}};
const Names llama_outside{{"transformer.wte", {"model.embed_tokens"}},
                          {"transformer.ln_f", {"model.norm"}},
                          {"lm_head", {"lm_head"}}};

}  // namespace

std::string parameter_name(std::string_view stored) {
  std::string name;
  for (size_t at = 0; at <= stored.size();) {
    std::string_view part = stored.substr(at, stored.find('.', at) - at);
    at += part.size() + 1;
    bool wrapper =
        part == "module" || part == "_orig_mod" || (part == "transformer" && name.empty());
    if (wrapper) continue;
    if (!name.empty()) name += '.';
    name += part;
  }
  return name.starts_with("lm_head.") ? name : "transformer." + name;
}

bool is_conv1d(std::string_view name) {
  return name.ends_with("c_attn.weight") || name.ends_with("c_proj.weight") ||
         name.ends_with("c_fc.weight");
}

bool is_buffer(std::string_view name) {
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") ||
         name.ends_with("rotary_emb.inv_freq");
}

std::string llama_name(const std::string& name, size_t part) {
  const size_t kind = name.rfind('.');  // of ".weight" or ".bias"
  const std::string layer = name.substr(0, kind), suffix = name.substr(kind);
  constexpr std::string_view block = "transformer.h.";
  if (!layer.starts_with(block)) return llama_outside.at(layer).at(part) + suffix;
  const size_t dot = layer.find('.', block.size());
  return "model.layers." + layer.substr(block.size(), dot - block.size()) + "." +
         llama_block.at(layer.substr(dot + 1)).at(part) + suffix;
}

}  // namespace folio
