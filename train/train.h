#pragma once
#include "train/observer.h"

namespace folio {

// nanoGPT's training loop, from run.iter on to max_iters. Every eval_interval iterations it
// evaluates, saves the state as last.h5 and, if its validation loss is the least since iteration 0,
// as ckpt.h5; with early_stop it ends there once none of
// the last so many was better. When a stop is requested (core/process/stop.h) it drops the
// iteration at hand, or the evaluation, and saves the last one that was finished; so it does before
// it passes on what went wrong. A loss or a gradient that is not finite is an Error without a save,
// and the update that would have spread it does nothing. With eval_only it evaluates and returns,
// and writes nothing.
Finish train(Run& run, Observer& observer);

// One iteration, and the only time in it that the host looks at what the device computed: after the
// update was queued. Throws, and leaves the run as it was, for figures that are not finite.
Step train_step(Run& run);

// Its two halves, which wait for nothing. Forward and backward -> the loss of each micro-batch over
// their number, [gradient_accumulation_steps] f32.
Array accumulate_gradients(Run& run);
// Clips and applies the gradients, whose norm is `norm` ([] f32), unless one of `figures` (f32) is
// not finite.
void apply_gradients(Run& run, const Array& norm, const std::vector<Array>& figures);
// Clips and applies the gradients, unless they or `losses` (optional) are not finite, and drops
// them -> their norm before clipping, [] f32.
Array update(Run& run, const Array& losses = {});

}  // namespace folio
