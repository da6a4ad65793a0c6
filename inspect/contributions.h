#pragma once
#include <string>
#include <vector>

#include "inspect/captures.h"

namespace folio {

// What each part of a model adds to the logit of one token at each position: the residual stream is
// their sum, and the final norm, once its scale at that position is held fixed, and the head are
// linear (direct logit attribution: Elhage et al., "A mathematical framework for transformer
// circuits", 2021).
struct Contributions {
  std::vector<int32_t> targets;  // [T]: the token in question
  std::vector<std::string> parts;
  // "embedding"; of each layer its heads, "h.0.head.1", "h.0.attn.bias" and "h.0.mlp";
  // "ln_f.bias". Parts that the model lacks are left out.
  std::vector<std::vector<double>> values;  // [parts][T]; their sum is `logits`
  std::vector<double> logits;               // [T]: the logit before any soft cap
};

// Of the tokens that come next in the text and, at its end, of the likeliest.
Contributions contributions(Gpt& model, const Captures& captures, int64_t tokens);

}  // namespace folio
