#pragma once
#include <map>
#include <string>
#include <vector>

#include "data/safetensors/safetensors.h"
#include "nn/gpt.h"

namespace folio {

// What an export writes to model.safetensors: the parameters of a model under the names that
// transformers' class has for them. `rows` of the token embedding are written, and as many of the
// head where that is another matrix.

// For GPT2LMHeadModel, which keeps its matrices transposed (Conv1D) and always has biases: a model
// without gets zeros.
std::vector<SafetensorsSource> gpt2_tensors(Gpt& model, int64_t rows);

// For LlamaForCausalLM and Qwen3ForCausalLM, where c_attn is three matrices (q_proj, k_proj,
// v_proj) and SwiGLU's c_fc two (gate_proj, up_proj).
std::vector<SafetensorsSource> llama_tensors(Gpt& model, int64_t rows);

// How many rows each part of a hidden matrix or its bias has, by the parameter's name: c_attn for
// instance is q, k and v below each other, for which Llama's layout has a tensor each.
using PartRows = std::map<std::string, std::vector<int64_t>>;
PartRows part_rows(const Gpt& model);

}  // namespace folio
