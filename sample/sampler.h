#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "core/backend.h"

namespace folio {

// The distinct tokens of a sequence.
class SeenTokens {
 public:
  void add(std::span<const int32_t> tokens);
  std::span<const int32_t> distinct() const { return distinct_; }

 private:
  std::vector<bool> seen_;
  std::vector<int32_t> distinct_;
};

// Error, which calls the row's stream a sample and the number of its draw a token.
[[noreturn]] void fail_not_finite(const RowDraw& draw, std::string_view logit);

// The next token of each row of logits [..., V], of which those of ids in [0, tokens) count, as
// SamplingOps::draw chooses it. fail_not_finite for a logit that is NaN or infinite.
std::vector<int32_t> draw_tokens(const Array& logits, int64_t tokens, const SamplerOptions& options,
                                 std::span<const RowDraw> rows);

}  // namespace folio
