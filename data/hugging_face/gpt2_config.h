#pragma once
#include <cstdint>
#include <string>

#include "core/elementwise.h"
#include "data/hugging_face/text_format.h"

namespace folio {

// What config.json says of a GPT-2 in Hugging Face's layout; the defaults are transformers' own.
struct Gpt2Config {
  int64_t vocab_size = 50257;
  int64_t n_positions = 1024;
  int64_t n_embd = 768, n_layer = 12, n_head = 12;
  Unary activation = gelu_tanh_op;
  bool tied = true;    // the head is the token embedding
  std::string digest;  // of an export by folio: its files have the same one
};

// Throws Error, naming `path` and the key, for a file that is not such a config, for a model that
// folio would compute otherwise than transformers does, and for a key that it does not know. Keys
// go by transformers' other names too: num_attention_heads is n_head.
Gpt2Config load_gpt2_config(const std::string& path);

// config.json and generation_config.json as transformers writes them. `ends` become
// eos_token_id; `digest` is that of the export, unless it is empty.
std::string config_json(const Gpt2Config& config, const EndTokens& ends,
                        const std::string& digest = "");
std::string generation_config_json(const EndTokens& ends);

}  // namespace folio
