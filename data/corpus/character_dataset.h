#pragma once
#include "data/corpus/prepare.h"

namespace folio {

// prepare for characters: makes the vocabulary of a UTF-8 text and the dataset in `directory`.
void write_character_dataset(const CorpusInput& input, const PrepareOptions& options,
                             const std::string& directory);

}  // namespace folio
