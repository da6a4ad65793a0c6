#pragma once
#include "train/observer.h"

namespace folio {

// One iteration of which each of run.ranks computes its micro-batches (train_step). All finish it,
// or all stop before its update: Interrupted, if one was asked to.
Step step_of_ranks(Run& run);

}  // namespace folio
