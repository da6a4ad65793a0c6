#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"

namespace folio {

struct TokenProbability {
  int32_t token = 0;
  double probability = 0;
};

// Of `token`, then of the `alternatives` likeliest tokens, best first, after a softmax of logits
// [V] alone: what the model said, before temperature and the other choices of a sampler. Where the
// model has rows without a token, `logits` are those of the tokens, among which probabilities sum
// to 1. Error for a logit that is NaN or infinite.
std::vector<TokenProbability> token_probabilities(std::span<const float> logits, int32_t token,
                                                  int64_t alternatives);

// One row of a table: the token, its probability and logarithm, and the alternatives:
//  "ROM"              12.34 %  -2.0924   "The" 20.11 %  "A" 7.50 %
std::string probability_row(const Tokenizer& tokenizer,
                            std::span<const TokenProbability> probabilities);
std::string probability_header(int64_t alternatives);

// "\n" and the like escaped, bytes that are not UTF-8 as \xff, in quotes.
std::string quoted_token(const Tokenizer& tokenizer, int32_t token);

}  // namespace folio
