#include "sample/decoder.h"

namespace folio {

Decoder::Decoder(Gpt& model, std::vector<std::vector<int32_t>> prompts, bool kv_cache)
    : model_(model),
      sequences_(std::move(prompts)),
      cache_(model.make_cache(int64_t(sequences_.size()))),
      kv_cache_(kv_cache) {
  check(!sequences_.empty() && !sequences_[0].empty(),
        "generate: needs a prompt of one token or "
        "more");
  for (const auto& sequence : sequences_) {
    check(sequence.size() == sequences_[0].size(),
          "generate: prompts of one batch need one length, got {} and {} tokens", sequence.size(),
          sequences_[0].size());
  }
}

Array Decoder::logits() {
  NoGrad no_grad;
  model_.context().training = false;
  auto length = int64_t(sequences_[0].size());
  int64_t window = std::min(length, model_.config().block_size);
  bool continues = kv_cache_ && cache_.length() > 0 && length <= model_.config().block_size;
  if (!continues) cache_.clear();
  int64_t fresh = window - cache_.length();
  std::vector<int32_t> tokens;
  for (const auto& sequence : sequences_)
    tokens.insert(tokens.end(), sequence.end() - fresh, sequence.end());
  int64_t B = cache_.batch();
  Tensor logits = model_(to_array(tokens, {B, fresh}), &cache_, /*last_only=*/true);
  return logits.array().reshape({B, model_.config().vocab_size});
}

void Decoder::append(std::span<const int32_t> tokens) {
  for (size_t b = 0; b < sequences_.size(); ++b) sequences_[b].push_back(tokens[b]);
}

std::vector<std::vector<int32_t>> generate(
    Gpt& model, std::vector<std::vector<int32_t>> prompts, const GenerateOptions& options,
    const std::function<void(size_t b, int32_t token)>& emit) {
  Decoder decoder(model, std::move(prompts), options.kv_cache);
  std::vector<int32_t> next(decoder.sequences().size());
  for (int64_t step = 0; step < options.max_new_tokens; ++step) {
    Array logits = decoder.logits();
    std::vector<float> values = to_vector<float>(backend(logits).cast(logits, DType::f32));
    size_t V = values.size() / next.size();
    for (size_t b = 0; b < next.size(); ++b) {
      next[b] = sample_token(std::span(values).subspan(b * V, V), options.sampler,
                             RandomStream{options.seed, b}, uint64_t(step));
      if (emit) emit(b, next[b]);
    }
    decoder.append(next);
  }
  return decoder.sequences();
}

}  // namespace folio
