#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace folio {

// What a sample continues.
struct Start {
  std::string text;             // what is printed before what the model adds
  std::vector<int32_t> tokens;  // one or more
  std::string chosen;           // what stands in for a start that nobody gave; empty: it was given
};

// `start` is the text, or FILE:PATH of it, in which special tokens are allowed; the tokenizer's
// start tokens come before it, unless it begins with them. An empty one stands for what texts begin
// with, as far as the tokenizer tells: its start tokens, its end-of-text token, a newline, or its
// first token. Error for text that the vocabulary cannot spell.
Start start_of(const std::string& start, const Tokenizer& tokenizer);

// What `start` spells out: itself, or what FILE:PATH holds.
std::string text_of(const std::string& start);

bool can_spell(const Tokenizer& tokenizer, const std::string& text);

}  // namespace folio
