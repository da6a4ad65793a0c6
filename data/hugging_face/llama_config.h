#pragma once
#include <cstdint>
#include <string>

#include "core/backend/rotary.h"
#include "data/hugging_face/text_format.h"

namespace folio {

// What config.json says of a LlamaForCausalLM of transformers' or, where queries and keys are
// normed, of a Qwen3ForCausalLM. Members go by the keys' names.
struct LlamaConfig {
  bool norms_qk = false;
  int64_t vocab_size = 0, max_position_embeddings = 0;
  int64_t hidden_size = 0, intermediate_size = 0, num_hidden_layers = 0;
  int64_t num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  double rms_norm_eps = 0;
  Rope rope = {};              // rope_parameters, or rope_theta and rope_scaling
  bool bias = false;           // Llama's attention_bias and mlp_bias; a Qwen3 has none
  int64_t sliding_window = 0;  // Qwen3's, in every layer; 0: none
  bool tied = false;           // the head is the token embedding
  std::string digest = {};     // of an export by folio: its files have the same one
};

// Of model_type "llama" or "qwen3", as transformers 4 or 5 writes it; an absent key has its class's
// default. Throws Error, naming `path`, the key and its value, for a file that is not such a
// config, for a model that folio would compute otherwise than transformers does (other scalings of
// the rotary positions than Llama 3's, layers of several kinds, biases in some matrices alone,
// experts, another activation), and for a key that it does not know.
LlamaConfig load_llama_config(const std::string& path);

// config.json as transformers 4 and 5 read it. `ends` become its
// eos_token_id; `digest` is that of the export, unless it is empty.
std::string config_json(const LlamaConfig& config, const EndTokens& ends,
                        const std::string& digest = "");

}  // namespace folio
