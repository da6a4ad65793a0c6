#pragma once
#include "core/backend/losses.h"

namespace folio::cuda {

// LossOps::linear_cross_entropy; rows are taken in parts of at most `most` logits, or of 32 rows.
CrossEntropy linear_cross_entropy(const Array& x, const Array& w, const Array& targets,
                                  bool with_grad, double factor, int64_t most, double softcap = 0);

}  // namespace folio::cuda
