#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/check.h"

namespace folio {
namespace {

// A uniform number in [0, 1) with 53 random bits.
double uniform(const RandomStream& stream, uint64_t draw) {
  auto bits = stream.block(draw);
  return double((uint64_t(bits[0]) << 21) ^ (bits[1] >> 11)) * 0x1p-53;
}

}  // namespace

int32_t sample_token(std::span<const float> logits, const SamplerOptions& options,
                     const RandomStream& stream, uint64_t draw) {
  auto best = std::ranges::max_element(logits);
  check(best != logits.end() && std::isfinite(*best),
        "sample: the model's logits are not finite; its weights are damaged or diverged");
  if (options.temperature == 0) return int32_t(best - logits.begin());

  // Token ids, most likely first as far as top_k and top_p need them.
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  auto likelier = [&](int32_t a, int32_t b) {
    float la = logits[size_t(a)], lb = logits[size_t(b)];
    return la != lb ? la > lb : a < b;
  };
  bool cut_k = options.top_k > 0 && size_t(options.top_k) < ids.size();
  if (cut_k) {
    std::nth_element(ids.begin(), ids.begin() + options.top_k, ids.end(), likelier);
    ids.resize(size_t(options.top_k));
  }
  if (cut_k || options.top_p < 1) std::ranges::sort(ids, likelier);

  std::vector<double> weights(ids.size());
  double sum = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    weights[i] = std::exp((double(logits[size_t(ids[i])]) - double(*best)) / options.temperature);
    sum += weights[i];
  }
  if (options.top_p < 1) {
    double kept = 0;
    size_t n = 0;
    while (n < ids.size() && (n == 0 || kept < options.top_p * sum)) kept += weights[n++];
    ids.resize(n);
    sum = kept;
  }
  double target = uniform(stream, draw) * sum;
  for (size_t i = 0; i < ids.size(); ++i) {
    target -= weights[i];
    if (target < 0) return ids[i];
  }
  return ids.back();
}

}  // namespace folio
