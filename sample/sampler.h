#pragma once
#include <cstdint>
#include <span>

#include "core/random.h"

namespace folio {

struct SamplerOptions {
  double temperature = 1;  // 0: the most likely token, always
  int64_t top_k = 0;       // keep the k most likely; 0: all
  double top_p = 1;        // then the fewest whose probabilities reach p (Holtzman et al., 2020)
};

// Draws a token from logits [V] with random number `draw` of `stream`. A pure function: the same
// stream gives the same text whatever else is in the batch. Equal logits are ranked by token id.
int32_t sample_token(std::span<const float> logits, const SamplerOptions& options,
                     const RandomStream& stream, uint64_t draw);

}  // namespace folio
