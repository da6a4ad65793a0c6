#pragma once
#include <filesystem>
#include <memory>

#include "data/hugging_face/text_format.h"
#include "data/tokenizer/tokenizer.h"
#include "nn/gpt.h"

namespace folio {

// GPT-2, Llama or Qwen3 in Hugging Face's layout: a folder with config.json and model.safetensors
// or pytorch_model.bin, or the shards that X.index.json names. GPT-2's weights of c_attn, c_proj
// and c_fc are stored transposed (as its Conv1D has them), and its head is the token embedding. How
// tensors are named is in tensor_names.h.

bool is_hugging_face(const std::filesystem::path& folder);

// The model of a folder, or of a weights file that has its config.json beside it, in f32 on
// `device` whatever the file's weights are (f64, f32, f16 or bf16). On the CPU the token embedding
// of a `read_only` model may lie in the mapped file instead of a copy. Throws Error that names the
// file and the key or tensor that is missing, has another shape or a number that is not finite, or
// belongs to a model that folio does not compute; and for a folder with files of two exports.
std::unique_ptr<Gpt> load_hugging_face(const std::filesystem::path& path, Device device,
                                       bool read_only = false);

// Writes config.json, generation_config.json, model.safetensors and `tokenizer`'s files (optional)
// into `folder`, made if it is missing: all of them or, on Error or a request to stop, none. They
// hold one digest (folio_digest, that transformers ignores) by which load_hugging_face knows that
// they belong together, and a model is there only once the last is in place. The layout is that of
// the one class of transformers' that computes the model, whose name is returned: GPT2LMHeadModel,
// LlamaForCausalLM or Qwen3ForCausalLM; Error names the fields for which there is none
// (export_config). With `trim_vocab` rows of the embedding that no token has are left out. The
// end tokens and the chat template are those of `format`; without end tokens there, the tokenizer's
// <|endoftext|> is written as one.
std::string save_hugging_face(const std::filesystem::path& folder, Gpt& model,
                              const Tokenizer* tokenizer, bool trim_vocab = false,
                              const TextFormat& format = {});

}  // namespace folio
