#pragma once
#include <memory>
#include <string>

#include "data/corpus/prepare.h"
#include "data/tokenizer/tokenizer.h"

namespace folio {

// prepare for a given tokenizer: encodes `input` into the dataset in `directory`.
void write_token_dataset(const CorpusInput& input, const PrepareOptions& options,
                         std::shared_ptr<const Tokenizer> tokenizer, const std::string& directory);

}  // namespace folio
