#pragma once
#include <memory>
#include <string>

#include "data/corpus/prepare.h"
#include "data/tokenizer/tokenizer.h"

namespace folio {

// prepare for a given tokenizer, or, if it is null, for one trained on the corpus, which is saved
// beside the ids as tokenizer.json: encodes `input` into the dataset in `directory`.
void write_token_dataset(const CorpusInput& input, const PrepareOptions& options,
                         std::shared_ptr<const Tokenizer> tokenizer, const std::string& directory);

}  // namespace folio
