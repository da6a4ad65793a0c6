#pragma once
#include <memory>
#include <string>

#include "data/corpus/prepare.h"
#include "data/tokenizer/tokenizer.h"

namespace folio {

// Writes the meta.json of a dataset whose train.bin and val.bin others have made with `tokenizer`.
// Error if an id, looking at every one, is none of its.
void describe_dataset(const std::string& directory, std::shared_ptr<const Tokenizer> tokenizer,
                      const Tell& tell);

}  // namespace folio
