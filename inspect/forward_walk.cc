#include "inspect/forward_walk.h"

#include <algorithm>
#include <cmath>

namespace folio {
namespace {

struct Sizes {
  double C, F, V, queries, keys, layers, up;  // up: matrices from C to F
};

Sizes sizes_of(const GptConfig& c) {
  return {double(c.n_embd),
          double(c.hidden()),
          double(c.vocab_size),
          double(c.heads().channels()),
          double(c.heads().kv_channels()),
          double(c.n_layer),
          c.activation.is_gated ? 2.0 : 1.0};
}

void describe(const HostArray& x, WalkStep& step) {
  double sum = 0, squares = 0, count = 0;
  step.least = INFINITY, step.greatest = -INFINITY;
  for (const float value : x.values) {
    if (!std::isfinite(value)) continue;  // what the causal mask hides
    step.least = std::min(step.least, double(value));
    step.greatest = std::max(step.greatest, double(value));
    sum += value, squares += double(value) * value, ++count;
  }
  if (count == 0) return;
  step.mean = sum / count;
  step.deviation = std::sqrt(std::max(0.0, squares / count - step.mean * step.mean));
}

}  // namespace

double multiply_adds(const GptConfig& config, std::string_view in_block, int64_t T) {
  const Sizes s = sizes_of(config);
  const double t = double(T);
  if (in_block == "attn.q") return t * s.C * s.queries;
  if (in_block == "attn.k" || in_block == "attn.v") return t * s.C * s.keys;
  if (in_block == "attn.scores" || in_block == "attn.output") return t * t * s.queries;
  if (in_block == "residual") return t * s.queries * s.C;
  if (in_block == "mlp.hidden") return t * s.C * s.F * s.up;
  if (in_block == "output") return t * s.F * s.C;
  if (in_block == "logits") return t * s.C * s.V;
  return 0;  // embedding, attn.probabilities, ln_f
}

std::vector<WalkStep> forward_walk(const GptConfig& config, const Captures& captures) {
  std::vector<WalkStep> steps;
  for (const std::string& name : captures.points) {
    const HostArray& x = captures.values.at(name);
    WalkStep step{.point = name.substr(std::string_view("transformer.").size()),
                  .in_block = "",
                  .shape = x.shape,
                  .dtype = x.dtype,
                  .bytes = int64_t(x.values.size() * size_of(x.dtype))};
    step.in_block = step.point;
    if (step.point.starts_with("h.")) {
      const size_t dot = step.point.find('.', 2);
      step.layer = std::stoll(step.point.substr(2, dot - 2));
      step.in_block = step.point.substr(dot + 1);
    }
    step.multiply_adds = multiply_adds(config, step.in_block, std::ssize(captures.tokens));
    describe(x, step);
    steps.push_back(std::move(step));
  }
  return steps;
}

CacheCosts cache_costs(const GptConfig& config) {
  const Sizes s = sizes_of(config);
  CacheCosts costs;
  costs.matrix =
      s.layers * (s.C * (s.queries + 2 * s.keys) + s.queries * s.C + s.C * s.F * (s.up + 1));
  costs.head = s.C * s.V;
  costs.pair = s.layers * 2 * s.queries;
  costs.bytes_per_token = int64_t(s.layers * 2 * s.keys) * 4;
  costs.weight_bytes = int64_t(costs.matrix + costs.head) * 4;
  return costs;
}

}  // namespace folio
