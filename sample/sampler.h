#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "core/random.h"
#include "sample/top_k.h"

namespace folio {

// Applied in this order, which is Hugging Face's.
struct SamplerOptions {
  // Logits of tokens that the sequence holds, prompt included, are divided by it if positive, else
  // multiplied (Keskar et al., "CTRL", 2019; Hugging Face's definition and window); 1: off.
  double repetition_penalty = 1;
  double temperature = 1;  // 0: the most likely token, always
  int64_t top_k = 0;       // keep the k most likely; 0: all
  double top_p = 1;  // of those, the fewest whose probabilities reach p (Holtzman et al., 2020)
  double min_p = 0;  // of those, the ones with p times the likeliest's probability or more
};

// The distinct tokens of a sequence.
class SeenTokens {
 public:
  void add(std::span<const int32_t> tokens);
  std::span<const int32_t> distinct() const { return distinct_; }

 private:
  std::vector<bool> seen_;
  std::vector<int32_t> distinct_;
};

// Draws tokens. What it draws is a pure function of the arguments: the same stream gives the same
// text whatever else is in the batch. It holds nothing but memory to work in.
class Sampler {
 public:
  explicit Sampler(const SamplerOptions& options) : options_(options) {}

  // A token from logits [V] of the tokens that follow a sequence with the distinct tokens `seen`,
  // with random number `draw` of `stream`. Equal logits are ranked by token id. Ids in `seen` from
  // V on have no logit here and change nothing. Error, which calls the stream a sample and the draw
  // its token, for a logit that is NaN or infinite.
  int32_t operator()(std::span<const float> logits, std::span<const int32_t> seen,
                     const RandomStream& stream, uint64_t draw);

  const SamplerOptions& options() const { return options_; }

 private:
  std::span<const float> penalised(std::span<const float> logits, std::span<const int32_t> seen);
  void choose_candidates(std::span<const float> logits, float best);
  void keep_top_p();

  SamplerOptions options_;
  std::vector<float> penalised_;
  std::vector<Candidate> candidates_;
};

}  // namespace folio
