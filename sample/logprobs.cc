#include "sample/logprobs.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/check.h"

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
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  const auto end = order.begin() + std::min(alternatives, std::ssize(order));
  std::partial_sort(order.begin(), end, order.end(), [&](int32_t a, int32_t b) {
    const float left = logits[size_t(a)], right = logits[size_t(b)];
    return left != right ? left > right : a < b;  // equal logits are ranked by id
  });
  for (auto id = order.begin(); id != end; ++id)
    all.push_back({*id, probability(logits[size_t(*id)])});
  return all;
}

}  // namespace folio
