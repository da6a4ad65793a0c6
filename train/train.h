#pragma once
#include "train/observer.h"

namespace folio {

// nanoGPT's training loop, from run.iter on to max_iters. Every eval_interval iterations it
// evaluates, saves the state as last.h5 and, if its validation loss is the least since iteration 0,
// as ckpt.h5. When a stop is requested (core/process/stop.h) it drops the iteration at hand, or the
// evaluation, and saves the last one that was finished; so it does before it passes on what went
// wrong. A loss that is not finite, or a norm of the gradient where it is computed, is an Error
// before the update that would spread it, and without a save. With eval_only it evaluates and
// returns, and writes nothing.
Finish train(Run& run, Observer& observer);

// Forward and backward of one iteration: gradient_accumulation_steps micro-batches -> mean loss.
double accumulate_gradients(Run& run);
// Clips and applies the gradients, then drops them -> their norm, as Step has it.
double update(Run& run);

}  // namespace folio
