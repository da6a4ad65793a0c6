#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sample/generate.h"

namespace folio {

// Random prompts of prompt_tokens tokens that `batch` samples share, then new_tokens tokens each.
struct Workload {
  int64_t batch = 1, prompt_tokens = 1, new_tokens = 1;
  bool kv_cache = true;
  DType kv_cache_dtype = DType::f32;
  PastBlock past_block = PastBlock::block;
};

// The steps that gave tokens [index T, (index + 1) T) of the texts, T being block_size.
struct WindowTiming {
  int64_t index = 0, steps = 0;
  double step_seconds = 0;  // the mean, with all that was computed again
};

// Medians of some runs of a workload. A step is one token of each sample.
struct Timing {
  double prompt_seconds = 0;  // to the first token
  double step_seconds = 0, min_step_seconds = 0;
  // Averages over the steps. Bytes: of the weights, and of the keys and values in the cache.
  // Multiply-adds count as two; those that compute a window again are included.
  double bytes_a_step = 0, flops_a_step = 0;
  double flops_a_prompt = 0;
  // Of a device that works while the host goes on; else 0: what a step's operations take by
  // themselves, a step whose token nobody waits for, and one whose kernels are launched one by one.
  double device_seconds = 0, unattended_step_seconds = 0, unrecorded_step_seconds = 0;
  size_t peak_bytes = 0;  // of the process, in this workload
  size_t kv_cache_bytes = 0;
  std::vector<WindowTiming> windows;
};
// Of the whole windows past the first, the dearest step over the cheapest; 1 if there are none.
double price_growth(const Timing& timing, int64_t block_size);
// The model has been packed.
Timing measure(Gpt& model, const Workload& workload, int64_t runs);

}  // namespace folio
