#pragma once
#include <cstdint>
#include <span>

#include "core/array.h"
#include "core/random.h"

namespace folio {

// How a token is chosen. Applied in this order, which is Hugging Face's.
struct SamplerOptions {
  // Logits of tokens that the sequence holds, prompt included, are divided by it if positive, else
  // multiplied (Keskar et al., "CTRL", 2019; Hugging Face's definition and window); 1: off.
  double repetition_penalty = 1;
  double temperature = 1;  // 0: the most likely token, always; less than 1e-21 is as good as that
  int64_t top_k = 0;       // keep the k most likely; 0: all
  double top_p = 1;  // of those, the fewest whose probabilities reach p (Holtzman et al., 2020)
  double min_p = 0;  // of those, the ones with p times the likeliest's probability or more
};

// What a row is drawn with: u, uniform in [0, 1), the first 53 bits of the stream's block `number`.
// The token is the first, by id, at which the sum of the weights up to it exceeds u times the
// whole.
struct RowDraw {
  RandomStream stream;
  uint64_t number = 0;
  // On the host: the distinct tokens of the sequence, for a repetition_penalty. Those from `tokens`
  // on have no logit and change nothing.
  std::span<const int32_t> seen = {};
};

class SamplingOps {
 public:
  virtual ~SamplingOps() = default;

  // For each row of logits [B, V] f32 an id in [0, tokens), tokens <= V, or -1 if one of those
  // logits is NaN or infinite -> [B] i32. Equal logits are ranked by id. A row's id depends on
  // nothing but its logits, the options and its RowDraw, and is the same on every device: weights
  // are integers (core/devices/token_weights.h), whose sums are exact. `tokens` is 2^23 at most.
  // `next`, [B] or [B, 1] i32 and optional, receives the ids too, with 0 in place of -1, so that a
  // model can read them before the host has.
  virtual Array draw(const Array& logits, int64_t tokens, const SamplerOptions& options,
                     std::span<const RowDraw> rows, Array* next = nullptr) = 0;
};

}  // namespace folio
