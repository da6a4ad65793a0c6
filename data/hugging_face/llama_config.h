#pragma once
#include <cstdint>
#include <string>

namespace folio {

// What config.json says of a LlamaForCausalLM of transformers' or, where queries and keys are
// normed, of a Qwen3ForCausalLM. Members go by the keys' names.
struct LlamaConfig {
  bool norms_qk = false;
  int64_t vocab_size = 0, max_position_embeddings = 0;
  int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  double rms_norm_eps = 0, rope_theta = 0;
  bool bias = false;           // Llama's attention_bias and mlp_bias; a Qwen3 has none
  int64_t sliding_window = 0;  // Qwen3's, in every layer; 0: none
  bool tied = false;           // the head is the token embedding
};

// config.json as transformers 4 and 5 read it. `end_token` is the id that ends a text, -1: none;
// `digest` that of the export, unless it is empty.
std::string config_json(const LlamaConfig& config, int64_t end_token,
                        const std::string& digest = "");

}  // namespace folio
