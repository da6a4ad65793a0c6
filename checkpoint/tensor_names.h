#pragma once
#include <string>
#include <string_view>

namespace folio {

// The parameter "transformer.h.0.ln_1.weight" that a file of others calls so, or without
// "transformer.", or with the wrappers of torch.compile ("_orig_mod.") and DistributedDataParallel
// ("module.") anywhere, as often as they were wrapped. Gives any name a form of its own.
std::string parameter_name(std::string_view stored);

// A weight that Hugging Face's GPT-2 stores transposed, [in, out], in its Conv1D.
bool is_conv1d(std::string_view name);

// A mask of GPT-2's attention or the speeds of Llama's rotations, which old versions of
// transformers and nanoGPT saved beside the weights; `name` is parameter_name's.
bool is_buffer(std::string_view name);

// The tensor of transformers' Llama or Qwen3 that holds a part of one of its parameters: those of
// "transformer.h.0.attn.c_attn.weight" are queries, keys and values, those of c_fc gate and up; any
// other has one part alone.
std::string llama_name(const std::string& name, size_t part);

}  // namespace folio
