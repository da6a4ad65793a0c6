#pragma once
#include <functional>
#include <string>
#include <vector>

#include "inspect/captures.h"

namespace folio {

struct LensToken {
  int32_t id = 0;
  double probability = 0;
};

// What the model would say if the residual stream went to the final norm and the head as it is at a
// point on its way (nostalgebraist, "interpreting GPT: the logit lens", 2020). P points: embedding,
// and of each layer residual (after attention) and output.
struct LogitLens {
  std::vector<std::string> points;                       // "embedding", "h.0.residual", ...
  std::vector<std::vector<std::vector<LensToken>>> top;  // [P][T]: the likeliest, best first
  // Of the token that comes next in the text, for the T - 1 that have one.
  std::vector<std::vector<double>> probability;  // [P][T - 1]
  std::vector<std::vector<int64_t>> rank;        // [P][T - 1], 0: the likeliest
  // Of every token that is the likeliest at some point: ids [T][n], probabilities [T][P][n].
  std::vector<std::vector<int32_t>> leaders;
  std::vector<std::vector<std::vector<double>>> leader_probability;
  std::vector<double> loss;  // [T - 1]: what the model itself loses on each next token, in nats
};

// `tokens`: ids from there on are rows without a token, and are left out. `most`: of `top`.
LogitLens logit_lens(Gpt& model, const Captures& captures, int64_t tokens, int64_t most = 5);

}  // namespace folio
