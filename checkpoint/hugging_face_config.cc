#include "checkpoint/hugging_face_config.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace folio {
namespace {

constexpr const char* exportable =
    "Exported are GPT-2s (position=learned, norm=layer, an activation but swiglu, "
    "tie_weights=true), Llamas (position=rotary, norm=rms, activation=swiglu, qk_norm=off, "
    "attention_window=0) and Qwen3s (as Llamas, but for qk_norm=rms_learned, bias=false and any "
    "attention_window); none has a logit_softcap";

Gpt2Config as_gpt2(const GptConfig& config, int64_t rows) {
  return {.vocab_size = rows,
          .n_positions = config.block_size,
          .n_embd = config.n_embd,
          .n_layer = config.n_layer,
          .n_head = config.n_head,
          .activation = config.activation.op,
          .tied = true,
          .digest = {}};
}

LlamaConfig as_llama(const GptConfig& config, int64_t rows, bool norms_qk) {
  const Heads heads = config.heads();
  return {.norms_qk = norms_qk,
          .vocab_size = rows,
          .max_position_embeddings = config.block_size,
          .hidden_size = config.n_embd,
          .intermediate_size = config.hidden(),
          .num_hidden_layers = config.n_layer,
          .num_attention_heads = config.n_head,
          .num_key_value_heads = heads.n_kv_head,
          .head_dim = heads.width,
          .rms_norm_eps = config.norm_eps,
          .rope = config.rope(),
          .bias = config.bias && !norms_qk,
          .sliding_window = norms_qk ? heads.window : 0,
          .tied = config.tie_weights};
}

// With the sizes that zeros stand for, and what nothing reads, or read at the start alone, as it is
// by default.
GptConfig spelt_out(GptConfig config) {
  const Heads heads = config.heads();
  config.n_kv_head = heads.n_kv_head, config.head_dim = heads.width;
  config.ffn_hidden = config.hidden();
  config.residual_init = GptConfig{}.residual_init;
  Rope rope = config.rope();
  if (config.position != "rotary") rope = {};
  if (rope.factor == 1) rope = {.theta = rope.theta};
  config.rope_theta = rope.theta, config.rope_factor = rope.factor;
  config.rope_low_freq_factor = rope.low_freq_factor;
  config.rope_high_freq_factor = rope.high_freq_factor;
  config.rope_original_context = rope.original_context;
  return config;
}

// What transformers asks for besides.
std::vector<Difference> limits(const LlamaConfig& config) {
  if (!config.norms_qk && config.hidden_size % config.num_attention_heads != 0)
    return {{"n_head", fmt::format("{}", config.num_attention_heads),
             fmt::format("one that divides n_embd, {}", config.hidden_size)}};
  // Where transformers' cache should keep no earlier key, it keeps all.
  if (config.sliding_window == 1) return {{"attention_window", "1", "0 or at least 2"}};
  return {};
}
std::vector<Difference> limits(const Gpt2Config&) { return {}; }

struct Candidate {
  const char* name;
  LayoutConfig config;
  std::vector<Difference> differences;  // of the model from what a reader would get
};

template <class Config>
Candidate candidate(const char* name, const Config& config, const GptConfig& model) {
  const GptConfig back = spelt_out(gpt_config(config));
  GptConfig wanted = spelt_out(model);
  wanted.vocab_size = back.vocab_size, wanted.dropout = back.dropout;
  if (std::is_same_v<Config, Gpt2Config>) wanted.bias = back.bias;
  Candidate made{name, config, differences(wanted, back)};
  for (Difference& limit : limits(config)) made.differences.push_back(std::move(limit));
  return made;
}

}  // namespace

GptConfig gpt_config(const Gpt2Config& config) {
  return {.block_size = config.n_positions,
          .vocab_size = config.vocab_size,
          .n_layer = config.n_layer,
          .n_head = config.n_head,
          .n_embd = config.n_embd,
          .dropout = 0,
          .bias = true,
          .activation = config.activation};
}

GptConfig gpt_config(const LlamaConfig& config) {
  return {.block_size = config.max_position_embeddings,
          .vocab_size = config.vocab_size,
          .n_layer = config.num_hidden_layers,
          .n_head = config.num_attention_heads,
          .n_embd = config.hidden_size,
          .dropout = 0,
          .bias = config.bias,
          .activation = Activation::swiglu(),
          .position = "rotary",
          .rope_theta = config.rope.theta,
          .rope_factor = config.rope.factor,
          .rope_low_freq_factor = config.rope.low_freq_factor,
          .rope_high_freq_factor = config.rope.high_freq_factor,
          .rope_original_context = config.rope.original_context,
          .norm = "rms",
          .norm_eps = config.rms_norm_eps,
          .qk_norm = config.norms_qk ? "rms_learned" : "off",
          .ffn_hidden = config.intermediate_size,
          .head_dim = config.head_dim,
          .n_kv_head = config.num_key_value_heads,
          .attention_window = config.sliding_window,
          .tie_weights = config.tied};
}

LayoutConfig export_config(const GptConfig& config, int64_t rows) {
  const Candidate all[] = {candidate("GPT-2", as_gpt2(config, rows), config),
                           candidate("Llama", as_llama(config, rows, false), config),
                           candidate("Qwen3", as_llama(config, rows, true), config)};
  auto count = [](const Candidate& one) { return one.differences.size(); };
  const Candidate& nearest = *std::ranges::min_element(all, {}, count);
  std::vector<std::string> reasons;
  for (const Candidate& one : all) {
    if (count(one) > count(nearest)) continue;
    for (const Difference& d : one.differences)
      reasons.push_back(fmt::format("the model has {} = {}; a {} of Hugging Face's has {}", d.field,
                                    d.value, one.name, d.other));
  }
  check(count(nearest) == 0, "export: {}. {}", fmt::join(reasons, "; "), exportable);
  return nearest.config;
}

std::string architecture(const LayoutConfig& config) {
  const auto* llama = std::get_if<LlamaConfig>(&config);
  return !llama ? "GPT2LMHeadModel" : llama->norms_qk ? "Qwen3ForCausalLM" : "LlamaForCausalLM";
}

}  // namespace folio
