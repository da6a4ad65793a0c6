#include "sample/top_k.h"

#include <algorithm>
#include <limits>

namespace folio {

void top_k(std::span<const float> logits, int64_t k, std::vector<Candidate>& out) {
  out.clear();
  k = std::min(k, int64_t(logits.size()));
  auto keep_k = [&] {
    std::nth_element(out.begin(), out.begin() + k - 1, out.end(), likelier);
    out.resize(size_t(k));
  };
  // `bar`: the k-th likeliest so far. A later token of the same logit has a higher id, and loses.
  float bar = -std::numeric_limits<float>::infinity();
  bool full = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (full && !(logits[i] > bar)) continue;
    out.push_back({.id = int32_t(i), .logit = logits[i]});
    if (int64_t(out.size()) < 2 * k) continue;
    keep_k();
    bar = out.back().logit;
    full = true;
  }
  if (int64_t(out.size()) > k) keep_k();
}

}  // namespace folio
