#pragma once
#include "train/run.h"

namespace folio {

// Told what a run does, as it does it. May throw to end the run where it stands.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void start(Run&) {}
  virtual void evaluated(const Run&, const Losses&) {}
  virtual void saved(const std::filesystem::path&) {}
  virtual void stepped(const Run&, double /*loss*/) {}
  virtual void finish(const Run&) {}
};

enum class Finish { done, interrupted };

// nanoGPT's training loop, from run.iter on. Evaluates and saves every eval_interval iterations;
// when a stop is requested (core/stop.h) it finishes the step, saves and returns. Throws Error when
// a loss is not finite, before the update that would spread it: the last good checkpoint stays.
Finish train(Run& run, Observer& observer);

// Forward and backward of one iteration: gradient_accumulation_steps micro-batches -> mean loss.
double accumulate_gradients(Run& run);
// Clips and applies the gradients, then drops them.
void update(Run& run);

}  // namespace folio
