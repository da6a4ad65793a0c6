#pragma once
#include <memory>
#include <string>

#include "data/tokenizer/bpe_tokenizer.h"

namespace folio {

// The tokenizer that an option names: a folder or file that load_bpe reads, or a model on the
// Hugging Face hub, like gpt2, that `folio download` has got. Throws Error, which says where to get
// it, if there is none.
std::shared_ptr<const BpeTokenizer> find_tokenizer(const std::string& name);

}  // namespace folio
