#include <algorithm>
#include <bit>
#include <limits>
#include <vector>

#include "core/cpu/cpu_backend.h"
#include "core/devices/check_token_count.h"
#include "core/devices/token_weights.h"
#include "core/parallel.h"

namespace folio {
namespace {

// A token that may be drawn.
struct Candidate {
  int32_t id = 0;
  float logit = 0;
  uint64_t weight = 0;
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
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

uint64_t sum_of_weights(std::span<const Candidate> candidates) {
  uint64_t sum = 0;
  for (const Candidate& candidate : candidates) sum += candidate.weight;
  return sum;
}

// The k likeliest of logits [V], in no order; all, if V <= k. One pass, and no memory but `out`'s,
// of which 2 k is used.
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

// Draws from one row after another; it holds nothing but memory to work in.
class RowSampler {
 public:
  int32_t draw(std::span<const float> logits, const SamplerOptions& options, const RowDraw& row) {
    if (options.repetition_penalty != 1)
      logits = penalised(logits, row.seen, float(options.repetition_penalty));
    auto [first, finite] = largest_of(logits);
    if (!finite) return -1;
    if (options.temperature == 0) return first;

    choose_candidates(logits, logits[size_t(first)], options);
    if (options.top_p < 1) keep_top_p(options.top_p);
    if (const uint64_t least = least_weight(options.min_p))
      std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < least; });

    uint64_t left = drawn_weight(row.stream, row.number, sum_of_weights(candidates_));
    auto drawn = candidates_.begin();  // ends before their end: `left` is less than their sum
    for (; left >= drawn->weight; ++drawn) left -= drawn->weight;
    return drawn->id;
  }

 private:
  std::span<const float> penalised(std::span<const float> logits, std::span<const int32_t> seen,
                                   float penalty);
  void choose_candidates(std::span<const float> logits, float best, const SamplerOptions& options);
  void keep_top_p(double top_p);

  std::vector<float> penalised_;
  std::vector<Candidate> candidates_;
};

std::span<const float> RowSampler::penalised(std::span<const float> logits,
                                             std::span<const int32_t> seen, float penalty) {
  penalised_.assign(logits.begin(), logits.end());
  for (int32_t token : seen)
    if (size_t(token) < logits.size())
      penalised_[size_t(token)] = penalised_logit(logits[size_t(token)], penalty);
  return penalised_;
}

// The tokens that top_k leaves, by id, with their weights; `best` is the likeliest one's logit.
void RowSampler::choose_candidates(std::span<const float> logits, float best,
                                   const SamplerOptions& options) {
  if (options.top_k > 0 && size_t(options.top_k) < logits.size()) {
    top_k(logits, options.top_k, candidates_);
    std::ranges::sort(candidates_, {}, &Candidate::id);
  } else {
    candidates_.resize(logits.size());
    for (size_t i = 0; i < logits.size(); ++i) candidates_[i] = {int32_t(i), logits[i], 0};
  }
  const float scale = distance_scale(options.temperature);
  parallel_blocks(std::ssize(candidates_), 1 << 12, [&](int64_t begin, int64_t end) {
    for (Candidate& c : std::span(candidates_).subspan(size_t(begin), size_t(end - begin)))
      c.weight = token_weight(c.logit, best, scale);
  });
}

// Leaves the fewest candidates whose weights reach top_p of all, by id. No full sort: those that
// cannot be among them go first, then halves are split by likelihood until the end is found.
void RowSampler::keep_top_p(double top_p) {
  const uint64_t sum = sum_of_weights(candidates_), enough = enough_weight(top_p, sum);
  // Tokens below the mean of what may be left out: even all of them together may be.
  const uint64_t low = (sum - enough) / candidates_.size();
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < low; });

  auto at = [&](size_t i) { return candidates_.begin() + std::ptrdiff_t(i); };
  size_t kept = 0, end = candidates_.size();  // the answer is between
  uint64_t weight = 0;                        // of the first `kept`
  while (end - kept > 32) {
    size_t middle = (kept + end) / 2;
    std::nth_element(at(kept), at(middle), at(end), likelier);
    uint64_t half = sum_of_weights(std::span(candidates_).subspan(kept, middle - kept));
    if (weight + half >= enough) {
      end = middle;
    } else {
      weight += half;
      kept = middle;
    }
  }
  std::sort(at(kept), at(end), likelier);
  while (weight < enough) weight += candidates_[kept++].weight;
  candidates_.resize(kept);
  std::ranges::sort(candidates_, {}, &Candidate::id);
}

class CpuSamplingOps final : public SamplingOps {
 public:
  Array draw(const Array& logits, int64_t tokens, const SamplerOptions& options,
             std::span<const RowDraw> rows, Array* next) override {
    check_token_count(tokens);
    const int64_t B = logits.dim(0), V = logits.dim(1);
    Array ids({B}, DType::i32, logits.device());
    const float* from = logits.data<float>();
    int32_t* to = ids.data<int32_t>();
    parallel_for(B, [&](int64_t b) {
      static thread_local RowSampler sampler;
      to[b] = sampler.draw({from + b * V, size_t(tokens)}, options, rows[size_t(b)]);
    });
    if (next) {
      next->begin_write("draw");
      for (int64_t b = 0; b < B; ++b) next->data<int32_t>()[b] = std::max(to[b], 0);
      next->set_id_range({0, tokens});
    }
    return ids;
  }
};

}  // namespace

SamplingOps& cpu_sampling() {
  static auto& operations = *new CpuSamplingOps;
  return operations;
}

}  // namespace folio
