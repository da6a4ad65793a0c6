#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "inspect/captures.h"

namespace folio {

// An op of the tape.
struct TapeEntry {
  std::string name;  // of the function that recorded it: "softmax"; "watch" where a point was shown
  std::string point;  // then its name: "h.0.attn.scores"
  std::string part;   // "embedding", "h.0.attn", "h.0.mlp", "head"
  int64_t order = 0;
  std::vector<int64_t> inputs;  // the order of what it read; 0: a parameter, -1: a constant
  std::vector<int64_t> shape;   // of its first result
};

// Of one parameter. Norms are L2.
struct ParameterStep {
  std::string name;
  std::vector<int64_t> shape;
  double weight_norm = 0, gradient_norm = 0;
  double update_norm = 0;  // of what the step added to it; 0 if there was none
  int64_t zeros = 0;       // elements whose gradient is 0
  // Of the others by log10 of the magnitude: bin i holds [least_decade + i / 2, + 1 / 2); the
  // outermost hold what lies beyond.
  std::vector<int64_t> histogram;
  static constexpr int least_decade = -12, bins = 26;
};

// One training step on one text, as it went backward.
struct BackwardPass {
  double loss = 0;
  double gradient_norm = 0;  // of all parameters together
  std::vector<TapeEntry> tape;
  std::vector<std::pair<std::string, double>> points;  // norm of the gradient at each, in order
  std::vector<ParameterStep> parameters;
};

// The loss of predicting each token of the text from those before it, its gradients, and `step`, an
// optimiser's, if there is one. The model ends as it was, without gradients.
BackwardPass backward_pass(Gpt& model, std::span<const int32_t> tokens,
                           const std::function<void()>& step = {});

}  // namespace folio
