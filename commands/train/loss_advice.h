#pragma once
#include <cstdint>
#include <limits>
#include <string>

#include "train/evaluate.h"

namespace folio {

// Watches the evaluations of a run for a validation loss that rises.
class LossAdvice {
 public:
  // The sentence to say after this evaluation: once for each best, when the validation loss has
  // been above it, and has risen, for three evaluations in a row; else "".
  std::string after(int64_t iter, const Losses& losses);

 private:
  static constexpr int patience = 3;
  int64_t best_iter_ = 0;
  Losses best_{std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity()};
  double last_ = 0;  // val loss
  int rises_ = 0;    // in a row, since the best
};

}  // namespace folio
