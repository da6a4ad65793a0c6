#pragma once
#include <string>

#include "checkpoint/open_model.h"

namespace folio {

// Where a user says that a model's tokenizer is; empty: not said.
struct TokenizerPlace {
  std::string tokenizer = {};  // Hugging Face's files, a meta.json, their folder, or gpt2, ...
  std::string dataset = {};    // a prepared dataset of data_dir
  std::string data_dir = {};
};

// Sees to it that `opened` has a tokenizer: its own; else the one at `place`; else that of the
// dataset that the model's run names, if it is prepared here. A sentence says what was taken, empty
// for its own. Error if there is none, if it has more tokens than the model has rows, and for a
// place given to a model whose own tokenizer makes other ids.
std::string find_tokenizer_of(OpenedModel& opened, const TokenizerPlace& place);

}  // namespace folio
