#pragma once
#include "train/run.h"

namespace folio {

// One iteration, done.
struct Step {
  int64_t iter = 0;
  double loss = 0;       // the mean of its micro-batches
  double grad_norm = 0;  // L2, before clipping; 0 where neither clipping nor the log asks for it
};

enum class Finish { done, interrupted };

// Told what a run does, as it does it. May throw to end the run where it stands.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void start(Run&) {}
  virtual void evaluated(const Run&, const Losses&) {}
  virtual void saved(const std::filesystem::path&) {}
  virtual void not_saved(const std::exception&) {}  // the run goes on, and tries again
  virtual void stepped(const Run&, const Step&) {}
  virtual void finish(const Run&, Finish) {}
};

// nanoGPT's training loop, from run.iter on to max_iters. Every eval_interval iterations it
// evaluates, saves the state as last.h5 and, if its validation loss is the least since iteration 0,
// as ckpt.h5. When a stop is requested (core/process/stop.h) it drops the iteration at hand, or the
// evaluation, and saves the last one that was finished; so it does before it passes on what went
// wrong. A loss that is not finite is an Error, before the update that would spread it and without
// a save. With eval_only it evaluates and returns, and writes nothing.
Finish train(Run& run, Observer& observer);

// Forward and backward of one iteration: gradient_accumulation_steps micro-batches -> mean loss.
double accumulate_gradients(Run& run);
// Clips and applies the gradients, then drops them -> their norm, as Step has it.
double update(Run& run);

}  // namespace folio
