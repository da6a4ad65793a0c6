#pragma once
#include "core/array.h"
#include "core/binary_ops.h"

namespace folio {

enum class Side { a, b };  // of an operation on two arrays

// op(a, b) of one dtype, broadcast (core/shape.h).
class BroadcastOps {
 public:
  virtual ~BroadcastOps() = default;

  virtual Array binary(Binary op, const Array& a, const Array& b) = 0;
  // The gradient in the operand on `side`: dy times the derivative, summed over the places to which
  // that operand was repeated -> its shape. Where Op::keeps (core/binary_ops.h) is false, shapes
  // alone are enough of a and b (Array::shape_only).
  virtual Array binary_grad(Binary op, Side side, const Array& a, const Array& b,
                            const Array& dy) = 0;
};

}  // namespace folio
