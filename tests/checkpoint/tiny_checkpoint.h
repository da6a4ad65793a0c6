#pragma once
#include "checkpoint/model_file.h"
#include "data/tokenizer/char_tokenizer.h"

namespace folio {

const GptConfig tiny_model{
    .block_size = 3, .vocab_size = 4, .n_layer = 1, .n_head = 1, .n_embd = 2};

// A model and its vocabulary, as a run saves them.
inline CheckpointFile tiny_checkpoint() {
  CheckpointFile file;
  Gpt model(tiny_model, cpu, 1);
  put_parameters(file, model);
  put_tokenizer(file, CharTokenizer(U"abcd"));
  return file;
}

}  // namespace folio
