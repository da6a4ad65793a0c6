#pragma once
#include <functional>
#include <vector>

#include "nn/gpt.h"
#include "sample/sampler.h"

namespace folio {

// Generates with a model, B sequences of one length together, without gradients.
//
// While a text fits block_size, a step feeds the model the newest token and attention reads the
// rest from the cache. Past it the model sees what nanoGPT's generate shows it: the last block_size
// tokens, at positions 0 to block_size - 1. Every position then has changed, and with it every key
// and value, so the window is computed again (keeping the old ones would mix positions). Each row
// is the same bits with and without the cache: see Backend::linear_packed and attention_cached.
class Decoder {
 public:
  // The model must have been packed. Without kv_cache every step computes its whole window.
  Decoder(Gpt& model, std::vector<std::vector<int32_t>> prompts, bool kv_cache = true);

  // Logits of the next token of each sequence: [B, V].
  Array logits();
  // Appends one token to each sequence.
  void append(std::span<const int32_t> tokens);

  const std::vector<std::vector<int32_t>>& sequences() const { return sequences_; }

 private:
  Gpt& model_;
  std::vector<std::vector<int32_t>> sequences_;  // B of one length
  KvCache cache_;
  bool kv_cache_;
};

struct GenerateOptions {
  int64_t max_new_tokens = 500;
  SamplerOptions sampler;
  uint64_t seed = 1337;  // sequence b draws from stream b
  bool kv_cache = true;
};

// Continues each prompt (all of one length) by max_new_tokens; `emit(b, token)` sees each token as
// it is drawn.
std::vector<std::vector<int32_t>> generate(
    Gpt& model, std::vector<std::vector<int32_t>> prompts, const GenerateOptions& options,
    const std::function<void(size_t b, int32_t token)>& emit = nullptr);

}  // namespace folio
