#pragma once
#include <functional>
#include <string>
#include <vector>

#include "data/tokenizer/tokenizer.h"
#include "inspect/backward_pass.h"
#include "inspect/captures.h"
#include "inspect/contributions.h"
#include "inspect/forward_walk.h"
#include "inspect/head_scores.h"
#include "inspect/logit_lens.h"

namespace folio {

// Everything that folio shows of one model reading one text.
struct Inspection {
  std::string source;  // OpenedModel::described()
  GptConfig config;
  std::shared_ptr<const Tokenizer> tokenizer;
  std::string text;  // of the tokens below
  Captures captures;
  double fused_difference = 0;  // between the logits of the plain spelling and the fused one
  std::vector<WalkStep> walk;
  std::vector<HeadScore> heads;
  LogitLens lens;
  Contributions parts;
  BackwardPass backward;
  std::string step;  // what the optimiser's step was, in words
};

// What one step of the optimiser is, and how it is said; `step` may be empty.
struct RealStep {
  std::function<void()> step = {};
  std::string words = {};
};

// tokens: two at least, as many as the model can read at once at most.
Inspection inspect(Gpt& model, std::shared_ptr<const Tokenizer> tokenizer, std::string source,
                   std::vector<int32_t> tokens, const RealStep& step = {});

}  // namespace folio
