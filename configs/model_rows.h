#pragma once
#include "configs/option_table.h"

namespace folio {

// Which of a run's checkpoints: "best" or "last".
Option checkpoint_option(std::string* checkpoint);

// For a model with rotary positions that was trained without a window.
Option window_option(int64_t* window);

// The rows that say which model a command opens (checkpoint/open_model.h), then `more`.
std::vector<Option> model_rows(std::string* init_from, std::string* out_dir,
                               std::string* checkpoint, std::vector<Option> more = {});

// Where the tokenizer of a model comes from whose file has none, then `more`: what a command adds
// to model_rows that turns text into tokens.
std::vector<Option> tokenizer_rows(std::string* tokenizer, std::string* dataset,
                                   std::string* data_dir, std::vector<Option> more = {});

}  // namespace folio
