#include "sample/sampler.h"

#include <algorithm>
#include <cmath>

namespace folio {
namespace {

std::string logit_that_is_not_finite(const Array& row) {
  const std::vector<float> logits = to_vector<float>(row);
  auto bad = std::ranges::find_if(logits, [](float logit) { return !std::isfinite(logit); });
  return fmt::format("id {} the logit {}", bad - logits.begin(), *bad);
}

}  // namespace

void fail_not_finite(const RowDraw& draw, std::string_view logit) {
  fail(
      "sample {}, token {}: the model gives {}; a weight is NaN or far too large: its training "
      "diverged, or its file is damaged",
      draw.stream.stream + 1, draw.number + 1, logit);
}

void SeenTokens::add(std::span<const int32_t> tokens) {
  for (int32_t token : tokens) {
    if (size_t(token) >= seen_.size()) seen_.resize(size_t(token) + 1);
    if (seen_[size_t(token)]) continue;
    seen_[size_t(token)] = true;
    distinct_.push_back(token);
  }
}

std::vector<int32_t> draw_tokens(const Array& logits, int64_t tokens, const SamplerOptions& options,
                                 std::span<const RowDraw> rows) {
  const int64_t B = logits.rows(), V = logits.dim(-1);
  check(0 < tokens && tokens <= V && B == std::ssize(rows) && logits.dtype() == DType::f32,
        "draw_tokens: {} draws of {} tokens from logits {} {}", rows.size(), tokens, logits.dtype(),
        logits.shape());
  const Array each = logits.reshape({B, V});
  std::vector<int32_t> ids =
      to_vector<int32_t>(backend(each)->sampling.draw(each, tokens, options, rows));
  for (int64_t b = 0; b < B; ++b)
    if (ids[size_t(b)] < 0)
      fail_not_finite(rows[size_t(b)], logit_that_is_not_finite(each.slice(b, b + 1)));
  return ids;
}

}  // namespace folio
