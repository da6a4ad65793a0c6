#pragma once
#include "core/array.h"

namespace folio {

struct LayerNormed {
  Array y;           // [..., C]
  Array mean, rstd;  // [rows], f32 (f64 for f64)
};

class NormOps {
 public:
  virtual ~NormOps() = default;

  // Over the last dimension, C: (x - mean) rstd w + b; b is optional. y and dy are in `dtype`: that
  // of x, or bf16 under an f32 x. (Ba et al., "Layer normalization", 2016.)
  virtual LayerNormed layer_norm(const Array& x, const Array& w, const Array& b, double eps,
                                 DType dtype) = 0;
  // -> dx in the dtype of x; adds to dw [C] and, if it is given, to db [C].
  virtual Array layer_norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                                const Array& rstd, Array& dw, Array* db = nullptr) = 0;
};

}  // namespace folio
