#include "inspect/hook_names.h"

#include "data/npz/npz.h"

namespace folio {
namespace {

// [n, T, D] -> [T, n, D]
std::vector<float> by_position(const HostArray& x) {
  const int64_t n = x.dim(0), T = x.dim(1), D = x.dim(2);
  std::vector<float> values(x.values.size());
  for (int64_t head = 0; head < n; ++head)
    for (int64_t t = 0; t < T; ++t)
      std::ranges::copy(x.row(head * T + t), values.begin() + (t * n + head) * D);
  return values;
}

std::vector<float> difference(const HostArray& a, const HostArray& b) {
  std::vector<float> values = a.values;
  for (size_t i = 0; i < values.size(); ++i) values[i] -= b.values[i];
  return values;
}

}  // namespace

std::vector<HookArray> hook_arrays(const GptConfig& config, const Captures& captures) {
  std::vector<HookArray> hooks;
  const int64_t T = std::ssize(captures.tokens), D = config.heads().width;
  auto add = [&](const std::string& name, const HostArray& x) {
    std::vector<int64_t> shape = x.shape;
    shape.insert(shape.begin(), 1);
    hooks.push_back({name, std::move(shape), x.values});
  };
  const bool rotary = config.position == "rotary";
  const HostArray* before = &captures.at("embedding");
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    const std::string block = fmt::format("blocks.{}.", layer);
    auto here = [&](const char* point) -> const HostArray& { return captures.at(layer, point); };
    auto add_heads = [&](const std::string& name, const HostArray& x) {
      hooks.push_back({block + "attn." + name, {1, T, x.dim(0), D}, by_position(x)});
    };
    add(block + "hook_resid_pre", *before);
    add_heads(rotary ? "hook_rot_q" : "hook_q", here("attn.q"));
    add_heads(rotary ? "hook_rot_k" : "hook_k", here("attn.k"));
    add_heads("hook_v", here("attn.v"));
    add(block + "attn.hook_attn_scores", here("attn.scores"));
    add(block + "attn.hook_pattern", here("attn.probabilities"));
    hooks.push_back({block + "attn.hook_z", {1, T, config.n_head, D}, here("attn.output").values});
    const HostArray &middle = here("residual"), &after = here("output");
    hooks.push_back({block + "hook_attn_out", {1, T, config.n_embd}, difference(middle, *before)});
    add(block + "hook_resid_mid", middle);
    add(block + "mlp.hook_post", here("mlp.hidden"));
    hooks.push_back({block + "hook_mlp_out", {1, T, config.n_embd}, difference(after, middle)});
    add(block + "hook_resid_post", after);
    before = &after;
  }
  add("ln_final", captures.at("ln_f"));
  add("logits", captures.at("logits"));
  return hooks;
}

void write_hooks(const std::string& path, const GptConfig& config, const Captures& captures) {
  const std::vector<HookArray> hooks = hook_arrays(config, captures);
  std::vector<NpzArray> arrays;
  auto bytes_of = [](const auto& values) {
    return std::string_view(reinterpret_cast<const char*>(values.data()),
                            values.size() * sizeof values[0]);
  };
  arrays.push_back({"tokens", {1, std::ssize(captures.tokens)}, "<i4", bytes_of(captures.tokens)});
  for (const HookArray& hook : hooks)
    arrays.push_back({hook.name, hook.shape, "<f4", bytes_of(hook.values)});
  write_npz(path, arrays);
}

}  // namespace folio
