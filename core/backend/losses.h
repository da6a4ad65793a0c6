#pragma once
#include "core/array.h"
#include "core/backend/packed.h"

namespace folio {

struct CrossEntropy {
  // [], f32 (f64 for f64): factor times the mean over the targets that are not -1, NaN (and
  // gradients of 0) if there is none.
  Array loss;
  Array dx;  // [..., C], d loss / d x in the dtype of x; undefined unless gradients were asked for
  Array dw;  // [V, C], f32 (f64 for f64), d loss / d w; likewise
};

// Cross-entropy of logits x w^T against targets, by blocks of rows: the memory of the logits is
// bounded, however many rows there are. With a softcap c > 0 the logits are c tanh(x w^T / c)
// (Bello et al., 2016; Gemma 2).
class LossOps {
 public:
  virtual ~LossOps() = default;

  // x [..., C], w [V, C], targets [...] i32 (-1: ignored). With `with_grad`, dx and dw too.
  virtual CrossEntropy linear_cross_entropy(const Array& x, const Array& w, const Array& targets,
                                            bool with_grad, double factor = 1,
                                            double softcap = 0) = 0;
  // The mean, without a factor or gradients -> [].
  virtual Array linear_cross_entropy(const Array& x, const PackedWeight& w, const Array& targets,
                                     double softcap = 0) = 0;
};

}  // namespace folio
