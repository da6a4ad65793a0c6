#pragma once
#include <span>
#include <string>

#include "data/tokenizer/tokenizer.h"
#include "sample/logprobs.h"

namespace folio {

// One row of a table: the token, its probability and logarithm, and the alternatives:
//  "ROM"              12.34 %  -2.0924   "The" 20.11 %  "A" 7.50 %
std::string probability_row(const Tokenizer& tokenizer,
                            std::span<const TokenProbability> probabilities);
std::string probability_header(int64_t alternatives);

// "\n" and the like escaped, bytes that are not UTF-8 as \xff, in quotes.
std::string quoted_token(const Tokenizer& tokenizer, int32_t token);

}  // namespace folio
