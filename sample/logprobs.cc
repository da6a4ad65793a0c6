#include "sample/logprobs.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "sample/top_k.h"

namespace folio {

std::vector<TokenProbability> token_probabilities(std::span<const float> logits, int32_t token,
                                                  int64_t alternatives) {
  double largest = *std::ranges::max_element(logits), smallest = largest, sum = 0;
  for (float logit : logits) {
    sum += std::exp(double(logit) - largest);
    smallest = std::min(smallest, double(logit));
  }
  // NaN and infinity make the sum NaN; minus infinity adds nothing to it.
  check(std::isfinite(sum) && std::isfinite(smallest), "logprobs: a logit is NaN or infinite");
  auto probability = [&](float logit) { return std::exp(double(logit) - largest) / sum; };

  std::vector<TokenProbability> all{{token, probability(logits[size_t(token)])}};
  if (alternatives == 0) return all;
  std::vector<Candidate> best;
  top_k(logits, alternatives, best);
  std::ranges::sort(best, likelier);
  for (const Candidate& c : best) all.push_back({c.id, probability(c.logit)});
  return all;
}

}  // namespace folio
