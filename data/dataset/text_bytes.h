#pragma once
#include <cstdint>

#include "data/dataset/token_file.h"
#include "data/tokenizer/tokenizer.h"

namespace folio {

// The bytes of text that tokens [begin, tokens.size()) of a split stand for; the end-of-text token
// stands for none. Error for an id that is not in the vocabulary.
int64_t text_bytes(const TokenFile& tokens, const Tokenizer& tokenizer, int64_t begin = 0);

}  // namespace folio
