#pragma once
#include <cstddef>
#include <cstdint>

#include "sample/generate.h"

namespace folio {

// Random prompts of prompt_tokens tokens that `batch` samples share, then new_tokens tokens each.
struct Workload {
  int64_t batch = 1, prompt_tokens = 1, new_tokens = 1;
  bool kv_cache = true;
  PastBlock past_block = PastBlock::block;
};

// Medians of some runs of a workload. A step is one token of each sample.
struct Timing {
  double prompt_seconds = 0;  // to the first token
  double step_seconds = 0, min_step_seconds = 0;
  double bytes_a_step = 0;  // weights, and the keys and values that the cache holds half-way
  double flops_a_step = 0;  // multiply-adds, counted as two
  double flops_a_prompt = 0;
  size_t peak_bytes = 0;  // of the process, in this workload
};
// The model has been packed.
Timing measure(Gpt& model, const Workload& workload, int64_t runs);

}  // namespace folio
