#include "checkpoint/hugging_face_config.h"

namespace folio {

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

Gpt2Config gpt2_config(const GptConfig& config, int64_t rows) {
  Gpt2Config gpt2{.vocab_size = rows,
                  .n_positions = config.block_size,
                  .n_embd = config.n_embd,
                  .n_layer = config.n_layer,
                  .n_head = config.n_head,
                  .activation = config.activation.op,
                  .tied = true,
                  .digest = {}};
  GptConfig back = gpt_config(gpt2), wanted = config;
  wanted.vocab_size = rows, wanted.dropout = back.dropout, wanted.bias = back.bias;
  check_comes_back(wanted, back);
  return gpt2;
}

}  // namespace folio
