#pragma once
#include <cstdint>

#include "core/check.h"

namespace folio {

// For SamplingOps::draw, on any device: Error for more tokens than can have the sum of their
// weights (token_weights.h) in 64 bits.
inline void check_token_count(int64_t tokens) {
  constexpr int64_t most = int64_t{1} << 23;
  check(tokens <= most, "draw: {} tokens; there can be {} at most", tokens, most);
}

}  // namespace folio
