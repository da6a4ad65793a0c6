#pragma once
#include <string>
#include <vector>

#include "nn/gpt.h"

namespace folio {

// What a head of attention does on a text of random tokens that comes twice: mean probabilities
// that a token of the second half gives to a token before it.
struct HeadScore {
  int64_t layer = 0, head = 0;
  double previous = 0;   // the one before it
  double same = 0;       // itself, where it stood in the first half
  double first = 0;      // the text's first
  double induction = 0;  // the one that came after it in the first half: what comes next
  // The largest of these by name, if it is at least plain_score; else "none".
  std::string kind = "none";
};
inline constexpr double plain_score = 0.4;
std::string kind_of(const HeadScore& score);

// A probe that is always the same for a model: 4 texts, each of `half` tokens twice, drawn evenly
// from ids below `tokens` by seed 1. `half` is 25, or less where block_size or the window is short.
int64_t probe_half(const GptConfig& config);
std::vector<HeadScore> head_scores(Gpt& model, int64_t tokens);

}  // namespace folio
