#pragma once
#include <atomic>

#include "train/report.h"
#include "train/run.h"

namespace folio {

enum class Finish { done, interrupted };

// nanoGPT's training loop, from run.iter on. Evaluates and saves every eval_interval iterations;
// when `stop` becomes true it finishes the step, saves and returns. Throws Error when a loss is not
// finite, before the update that would spread it: the last good checkpoint stays.
Finish train(Run& run, Report& report, const std::atomic<bool>& stop);

// Forward and backward of one iteration: gradient_accumulation_steps micro-batches -> mean loss.
double accumulate_gradients(Run& run);
// Clips and applies the gradients, then drops them.
void update(Run& run);

}  // namespace folio
