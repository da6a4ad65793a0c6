#pragma once
#include <memory>
#include <string>

#include "data/tokenizer/bpe_tokenizer.h"

namespace folio {

// The tokenizer that an option names: a folder or file that load_bpe reads, or gpt2, gpt2-medium,
// gpt2-large or gpt2-xl, whose files `folio download` keeps. Throws Error, which says where to get
// them, if there is none.
std::shared_ptr<const BpeTokenizer> find_tokenizer(const std::string& name);

}  // namespace folio
