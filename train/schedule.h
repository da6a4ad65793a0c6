#pragma once
#include <cmath>
#include <cstdint>
#include <numbers>

#include "configs/train_options.h"

namespace folio {

// Linear warm-up, then a cosine from learning_rate down to min_lr at lr_decay_iters (Loshchilov &
// Hutter, "SGDR", 2017), exactly as nanoGPT's get_lr.
inline double learning_rate(int64_t iter, const TrainOptions& o) {
  if (!o.decay_lr) return o.learning_rate;
  if (iter < o.warmup_iters) return o.learning_rate * double(iter + 1) / double(o.warmup_iters + 1);
  if (iter > o.lr_decay_iters) return o.min_lr;
  double span = double(o.lr_decay_iters - o.warmup_iters);
  double ratio = span > 0 ? double(iter - o.warmup_iters) / span : 1.0;
  return o.min_lr + 0.5 * (1 + std::cos(std::numbers::pi * ratio)) * (o.learning_rate - o.min_lr);
}

}  // namespace folio
