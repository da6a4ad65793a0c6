#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "train/optimizer/optimizer.h"

namespace folio {

// From 1 at ratio 0 down to 0 at ratio 1: along half a cosine (Loshchilov & Hutter, "SGDR", 2017).
inline double cosine_fall(double ratio) { return 0.5 * (1 + std::cos(std::numbers::pi * ratio)); }

// Linear warm-up to `peak`, then down to `floor` at lr_decay_iters: along a cosine, exactly as
// nanoGPT's get_lr; linearly; or (wsd: warm-up, stable, decay; Hu et al., "MiniCPM", 2024) constant
// until the last decay_fraction of lr_decay_iters, and linearly there.
inline double scheduled(int64_t iter, double peak, double floor, const TrainOptions& o) {
  if (!o.decay_lr) return peak;
  if (iter < o.warmup_iters) return peak * double(iter + 1) / double(o.warmup_iters + 1);
  if (iter > o.lr_decay_iters) return floor;
  double begin = double(o.warmup_iters), end = double(o.lr_decay_iters);
  if (o.schedule == "wsd") begin = std::max(begin, end * (1 - o.decay_fraction));
  double ratio = end > begin ? std::max(0.0, double(iter) - begin) / (end - begin) : 1.0;
  double part = o.schedule == "cosine" ? cosine_fall(ratio) : 1 - ratio;
  return floor + part * (peak - floor);
}

inline double learning_rate(int64_t iter, const TrainOptions& o) {
  return scheduled(iter, o.learning_rate, o.min_lr, o);
}

// Its course is that of learning_rate.
inline double muon_lr(int64_t iter, const TrainOptions& o) {
  double floor = o.learning_rate > 0 ? o.muon_lr * (o.min_lr / o.learning_rate) : 0;
  return scheduled(iter, o.muon_lr, floor, o);
}

inline double muon_momentum(int64_t iter, const TrainOptions& o) {
  if (iter >= o.muon_warmup_iters) return 0.95;
  return 0.85 + 0.1 * double(iter) / double(o.muon_warmup_iters);
}

inline double weight_decay(int64_t iter, const TrainOptions& o) {
  if (o.weight_decay_schedule == "constant") return o.weight_decay;
  double ratio = iter < o.lr_decay_iters ? double(iter) / double(o.lr_decay_iters) : 1.0;
  return o.weight_decay * (o.weight_decay_schedule == "cosine" ? cosine_fall(ratio) : 1 - ratio);
}

inline Rates rates(int64_t iter, const TrainOptions& o) {
  return {.learning_rate = learning_rate(iter, o),
          .muon_lr = muon_lr(iter, o),
          .momentum = muon_momentum(iter, o),
          .weight_decay = weight_decay(iter, o)};
}

}  // namespace folio
