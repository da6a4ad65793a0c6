#pragma once
#include <cstdint>
#include <span>
#include <vector>

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

}  // namespace folio
