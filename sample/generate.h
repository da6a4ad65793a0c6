#pragma once
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "nn/gpt.h"
#include "sample/past_block.h"
#include "sample/sampler.h"

namespace folio {

struct GenerateOptions {
  int64_t max_new_tokens = 500;
  SamplerOptions sampler = {};
  uint64_t seed = 1337;  // sample i draws from stream i
  bool kv_cache = true;
  PastBlock past_block = PastBlock::block;
  int64_t keep = 0;         // for past_block=block: see ContextWindow
  int64_t batch_size = 64;  // samples decoded together; the others wait until one ends
  std::optional<DType> kv_cache_dtype = {};  // the model's, unless given
  bool record = true;                        // see Decoder::Options
  std::vector<int32_t> end_tokens = {};      // each ends a sample, and is not part of it
  int64_t tokens = 0;  // the tokenizer's: ids from there on are never drawn; 0: the model's
};

enum class Ending {
  max_new_tokens,
  end_token,
  block_size,  // past_block=stop
  caller,
};

struct Sample {
  std::vector<int32_t> tokens;  // the prompt's and the drawn ones
  Ending ending = Ending::max_new_tokens;
};

// A token of sample `sample` that has just been drawn, from logits [tokens].
struct Draw {
  size_t sample = 0;
  int32_t token = 0;
  std::function<std::vector<float>()> logits;  // reads them from the device
};

// Who watches samples grow; either may be empty.
struct Listener {
  // A token was drawn; false ends its sample, of which the token stays a part.
  std::function<bool(const Draw&)> drawn;
  std::function<void(size_t sample, Ending)> ended;
};

struct Generated {
  std::vector<Sample> samples;             // one a prompt, in order
  int64_t prompt_tokens = 0;               // read: a prompt that several samples share is read once
  int64_t new_tokens = 0;                  // drawn
  double prompt_seconds = 0, seconds = 0;  // until the first token; from then on
  size_t cache_bytes = 0;
};

// Throws Interrupted once a stop is requested (core/process/stop.h), also inside a prompt.
// Continues each prompt; equal neighbours share one reading. A sample is the same whatever
// batch_size, kv_cache and the number of threads are. The model must have been packed.
Generated generate(Gpt& model, std::span<const std::vector<int32_t>> prompts,
                   const GenerateOptions& options, const Listener& listener = {});

}  // namespace folio
