#pragma once
#include "core/array.h"
#include "core/backend/packed.h"

namespace folio {

class EmbeddingOps {
 public:
  virtual ~EmbeddingOps() = default;

  // wte[tokens] + wpe[position]: tokens [B, T] i32, wte [V, C], wpe [P, C] -> [B, T, C] in `dtype`.
  // Row b's positions begin at positions[b], [B] i32, or 0 without it; Error where they leave wpe.
  // If wpe is undefined nothing is added, and positions are not looked at.
  virtual Array embedding(const Array& tokens, const Array& wte, const Array& wpe,
                          const Array& positions, DType dtype) = 0;
  virtual Array embedding(const Array& tokens, const PackedWeight& wte, const Array& wpe,
                          const Array& positions, DType dtype) = 0;
  // Adds dy [B, T, C] to the rows of dwte [V, C] that `tokens` name and, unless it is null, to the
  // rows of dwpe [P, C] of positions 0 to T - 1.
  virtual void embedding_grad(const Array& dy, const Array& tokens, Array& dwte, Array* dwpe) = 0;
  // Adds row i of dy [N, C] to row rows[i] of dx [R, C]: the gradient of LayoutOps::take_rows.
  virtual void add_rows(const Array& dy, const Array& rows, Array& dx) = 0;
};

}  // namespace folio
