#pragma once
#include <string>
#include <vector>

#include "inspect/captures.h"

namespace folio {

// What was captured, by TransformerLens' hook names and in its shapes [1, position, ...], ready for
// a file: "blocks.0.attn.hook_pattern" [1, H, T, T], "blocks.0.attn.hook_z" [1, T, H, D]. Queries
// and keys are those that meet: hook_rot_q and hook_rot_k where positions are rotary. Three that it
// has no hook for: "ln_final" (with its weight), "logits" and "tokens", which is apart.
struct HookArray {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};
std::vector<HookArray> hook_arrays(const GptConfig& config, const Captures& captures);

// All of them and "tokens" [1, T] as numpy.load opens them.
void write_hooks(const std::string& path, const GptConfig& config, const Captures& captures);

}  // namespace folio
