#pragma once
#include "core/array.h"
#include "core/random.h"

namespace folio {

// layer: (x - mean) rstd w + b, rstd = 1 / sqrt(variance + eps) (Ba et al., "Layer normalization",
// 2016); rms: x rstd w, rstd = 1 / sqrt(mean(x^2) + eps) (Zhang & Sennrich, 2019).
enum class NormKind { layer, rms };
struct Norm {
  NormKind kind = NormKind::layer;
  double eps = 1e-5;
};

struct Normed {
  Array y;           // [..., C]
  Array mean, rstd;  // [rows], f32 (f64 for f64); rms has no mean: undefined
};

struct NormedSum {
  Array sum;      // [..., C], in the dtype of the residual
  Normed normed;  // of it
};

class NormOps {
 public:
  virtual ~NormOps() = default;

  // Over the last dimension, C. w and b are optional; rms has no b. y and dy are in `dtype`: that
  // of x, or bf16 under an f32 x.
  virtual Normed norm(const Array& x, const Array& w, const Array& b, const Norm& norm,
                      DType dtype) = 0;
  // -> dx in the dtype of x; adds to dw [C], unless w is undefined, and, if it is given, to db [C].
  // An undefined mean says that the norm was rms.
  virtual Array norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                          const Array& rstd, Array& dw, Array* db = nullptr) = 0;

  // sum = RandomOps::add_dropout(residual, x, dropout), and norm(sum, w, b, norm, dtype of x), in
  // one pass over memory. On the CPU this and its gradient have the bits of the operations apart.
  //
  // Bytes of memory traffic for each element of an f32 residual under bf16 activations, and in
  // brackets of a bf16 residual; those of w, b and of two numbers a row come on top:
  //   forward: residual 4 (2) + x 2 + sum 4 (2) + y 2 = 12 (8)
  //     apart: add_dropout 10 (6) + norm 6 (4) = 16 (10)
  //   gradient: dy 2 + sum 4 (2) + dsum, read 4 (2) and written 4 (2) + dx 2 = 16 (10)
  //     apart: norm_grad 10 (6) + accumulate 12 (6) + dropout_grad 6 (4) = 28 (16)
  virtual NormedSum add_dropout_norm(const Array& residual, const Array& x, const Dropout& dropout,
                                     const Array& w, const Array& b, const Norm& norm) = 0;
  // dy is the gradient of normed.y. Adds the norm's gradient in the sum to `dsum`, which is what
  // has arrived at the sum from elsewhere (made, if that is nothing), and so becomes the residual's
  // gradient. -> that of x in the dtype of dy; dsum itself where it is the same. Adds to dw and db
  // as norm_grad does.
  virtual Array add_dropout_norm_grad(const Array& dy, const Array& sum, const Array& w,
                                      const Array& mean, const Array& rstd, const Dropout& dropout,
                                      Array& dsum, Array& dw, Array* db = nullptr) = 0;
};

}  // namespace folio
