#pragma once
#include "train/run.h"

namespace folio {

// One iteration, done.
struct Step {
  int64_t iter = 0;
  double loss = 0;       // the mean of its micro-batches
  double grad_norm = 0;  // L2, before clipping
  double waited = 0;     // seconds of it in which this process waited for the other ranks
};

enum class Finish { done, interrupted, early_stop };

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

}  // namespace folio
