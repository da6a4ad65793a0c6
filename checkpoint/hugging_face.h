#pragma once
#include <filesystem>
#include <memory>

#include "data/tokenizer.h"
#include "nn/gpt.h"

namespace folio {

// GPT-2 in Hugging Face's layout: config.json beside model.safetensors, or beside the shards that
// model.safetensors.index.json names. Weights of c_attn, c_proj and c_fc lie transposed there (its
// Conv1D), the head is the token embedding, and a name may come without "transformer.".

bool is_hugging_face(const std::filesystem::path& folder);

// The model of a folder, or of a weights file that has its config.json beside it, in f32 whatever
// the file's weights are (f32, f16 or bf16). The token embedding of a `read_only` model may lie in
// the mapped file instead of a copy. Throws Error that names the file and the key or tensor that is
// missing, has another shape, or belongs to a model that folio does not compute.
std::unique_ptr<Gpt> load_hugging_face(const std::filesystem::path& path, bool read_only = false);

// Writes config.json, generation_config.json, model.safetensors and `tokenizer`'s files into
// `folder`, made if it is missing. A model without biases gets biases of zero, which GPT-2 has.
void save_hugging_face(const std::filesystem::path& folder, Gpt& model, const Tokenizer* tokenizer);

}  // namespace folio
