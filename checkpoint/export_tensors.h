#pragma once
#include <vector>

#include "data/safetensors/safetensors.h"
#include "nn/gpt.h"

namespace folio {

// The parameters of a model as an export's model.safetensors will have them, with `rows` of the
// token embedding, and of the head that has a matrix of its own.

// GPT-2's, matrices of its Conv1D transposed. A model without biases gets biases of zero.
std::vector<SafetensorsSource> gpt2_tensors(Gpt& model, int64_t rows);

// Llama's or Qwen3's: queries, keys and values are matrices of their own, and so are the two
// halves of SwiGLU's first.
std::vector<SafetensorsSource> llama_tensors(Gpt& model, int64_t rows);

}  // namespace folio
