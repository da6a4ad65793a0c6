#include "checkpoint/tensor_names.h"

namespace folio {

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
  return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias");
}

}  // namespace folio
