#include "sample/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/check.h"
#include "core/parallel.h"

namespace folio {
namespace {

// A uniform number in [0, 1) with 53 random bits.
double uniform(const RandomStream& stream, uint64_t draw) {
  auto bits = stream.block(draw);
  return double((uint64_t(bits[0]) << 21) ^ (bits[1] >> 11)) * 0x1p-53;
}

struct Largest {
  int32_t id = 0;
  bool finite = true;  // all logits are
};

// The first of the largest logits, and in the same pass, without a branch, whether one is NaN or
// infinite: those have all bits of the exponent set.
Largest largest_of(std::span<const float> logits) {
  size_t best = 0;
  uint32_t magnitude = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    magnitude = std::max(magnitude, std::bit_cast<uint32_t>(logits[i]) << 1);
    if (logits[i] > logits[best]) best = i;
  }
  return {int32_t(best), magnitude < 0xff000000};
}

[[noreturn]] void fail_not_finite(std::span<const float> logits, const RandomStream& stream,
                                  uint64_t draw) {
  auto bad = std::ranges::find_if(logits, [](float logit) { return !std::isfinite(logit); });
  fail(
      "sample {}, token {}: the model gives id {} the logit {}; a weight is NaN or far too large: "
      "its training diverged, or its file is damaged",
      stream.stream + 1, draw + 1, bad - logits.begin(), *bad);
}

double sum_of_weights(std::span<const Candidate> candidates) {
  double sum = 0;
  for (const Candidate& candidate : candidates) sum += double(candidate.weight);
  return sum;
}

}  // namespace

void SeenTokens::add(std::span<const int32_t> tokens) {
  for (int32_t token : tokens) {
    if (size_t(token) >= seen_.size()) seen_.resize(size_t(token) + 1);
    if (seen_[size_t(token)]) continue;
    seen_[size_t(token)] = true;
    distinct_.push_back(token);
  }
}

int32_t Sampler::operator()(std::span<const float> logits, std::span<const int32_t> seen,
                            const RandomStream& stream, uint64_t draw) {
  if (options_.repetition_penalty != 1) logits = penalised(logits, seen);
  auto [first, finite] = largest_of(logits);
  if (!finite) fail_not_finite(logits, stream, draw);
  float best = logits[size_t(first)];
  if (options_.temperature == 0) return first;

  choose_candidates(logits, best);
  if (options_.top_p < 1) keep_top_p();
  if (options_.min_p > 0)
    std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < options_.min_p; });

  double target = uniform(stream, draw) * sum_of_weights(candidates_);
  for (const Candidate& candidate : candidates_) {
    target -= double(candidate.weight);
    if (target < 0) return candidate.id;
  }
  return candidates_.back().id;
}

std::span<const float> Sampler::penalised(std::span<const float> logits,
                                          std::span<const int32_t> seen) {
  penalised_.assign(logits.begin(), logits.end());
  auto penalty = float(options_.repetition_penalty);
  constexpr float most = std::numeric_limits<float>::max();
  for (int32_t token : seen) {
    if (size_t(token) >= logits.size()) continue;
    float& logit = penalised_[size_t(token)];
    if (!std::isfinite(logit)) continue;  // the model's, of which operator() complains
    logit = std::clamp(logit > 0 ? logit / penalty : logit * penalty, -most, most);
  }
  return penalised_;
}

// The tokens that top_k leaves, by id, each weighed against the likeliest, whose logit is `best`.
void Sampler::choose_candidates(std::span<const float> logits, float best) {
  if (options_.top_k > 0 && size_t(options_.top_k) < logits.size()) {
    top_k(logits, options_.top_k, candidates_);
    std::ranges::sort(candidates_, {}, &Candidate::id);
  } else {
    candidates_.resize(logits.size());
    for (size_t i = 0; i < logits.size(); ++i) candidates_[i] = {int32_t(i), logits[i], 0};
  }
  parallel_blocks(std::ssize(candidates_), 1 << 12, [&](int64_t begin, int64_t end) {
    for (Candidate& c : std::span(candidates_).subspan(size_t(begin), size_t(end - begin)))
      c.weight = std::exp(float((double(c.logit) - double(best)) / options_.temperature));
  });
}

// Leaves the fewest candidates whose weights reach top_p of all, by id. No full sort: those that
// cannot be among them go first, then halves are split by likelihood until the end is found.
void Sampler::keep_top_p() {
  const double sum = sum_of_weights(candidates_), enough = options_.top_p * sum;
  // Tokens below half the mean of what may be left out: even all of them together may be.
  const double low = 0.5 * (1 - options_.top_p) * sum / double(candidates_.size());
  std::erase_if(candidates_, [&](const Candidate& c) { return double(c.weight) < low; });

  auto at = [&](size_t i) { return candidates_.begin() + std::ptrdiff_t(i); };
  size_t kept = 0, end = candidates_.size();  // the answer is between
  double weight = 0;                          // of the first `kept`
  while (end - kept > 32) {
    size_t middle = (kept + end) / 2;
    std::nth_element(at(kept), at(middle), at(end), likelier);
    double half = sum_of_weights(std::span(candidates_).subspan(kept, middle - kept));
    if (weight + half >= enough) {
      end = middle;
    } else {
      weight += half;
      kept = middle;
    }
  }
  std::sort(at(kept), at(end), likelier);
  while (kept < end && (kept == 0 || weight < enough)) weight += double(candidates_[kept++].weight);
  candidates_.resize(kept);
  std::ranges::sort(candidates_, {}, &Candidate::id);
}

}  // namespace folio
