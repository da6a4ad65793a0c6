#pragma once
#include <cstdint>

#include "core/elementwise.h"

namespace folio {

// nanoGPT's GPTConfig.
struct GptConfig {
  int64_t block_size = 1024;
  int64_t vocab_size = 50304;
  int64_t n_layer = 12, n_head = 12, n_embd = 768;
  double dropout = 0;
  bool bias = true;
  Unary activation = gelu_erf_op;
};

}  // namespace folio
