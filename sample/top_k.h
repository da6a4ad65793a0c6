#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace folio {

// A token that may be drawn.
struct Candidate {
  int32_t id = 0;
  float logit = 0;
  float weight = 0;  // proportional to its probability
};

// The order of tokens by likelihood: equal logits are ranked by token id.
inline bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// The k likeliest of logits [V], in no order; all, if V <= k. One pass, and no memory but `out`'s,
// of which 2 k is used.
void top_k(std::span<const float> logits, int64_t k, std::vector<Candidate>& out);

}  // namespace folio
