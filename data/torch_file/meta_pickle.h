#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "data/tokenizer/tokenizer.h"

namespace folio {

// The tokenizer in the meta.pkl of a character dataset that nanoGPT's prepare.py made: a pickle of
// {"vocab_size": int, "itos": {id: character}, "stoi": {character: id}}, read as Pickle reads.
// Throws Error, which names the file and the key, for anything that such a file does not hold and
// for a vocabulary that CharTokenizer does not take.
std::shared_ptr<const Tokenizer> load_meta_pkl(const std::string& path);
// `bytes` are the whole file.
std::shared_ptr<const Tokenizer> load_meta_pkl(std::string_view bytes, const std::string& path);

}  // namespace folio
