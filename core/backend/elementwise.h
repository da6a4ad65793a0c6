#pragma once
#include "core/array.h"
#include "core/elementwise.h"

namespace folio {

// What happens to each element by itself.
class ElementwiseOps {
 public:
  virtual ~ElementwiseOps() = default;

  virtual void fill(Array& x, double value) = 0;
  virtual Array cast(const Array& x, DType dtype) = 0;  // a copy; to nearest, ties to even
  virtual Array unary(Unary op, const Array& x) = 0;
  virtual Array unary_grad(Unary op, const Array& x, const Array& dy) = 0;  // dy * slope(x)
  // silu(gate) up, gate the first F columns of x [..., 2 F], up the others -> [..., F] (Shazeer,
  // "GLU variants improve transformer", 2020). The gradient -> [..., 2 F]; if `y` is given it
  // receives swiglu(x), which a product's gradient needs.
  virtual Array swiglu(const Array& x) = 0;
  virtual Array swiglu_grad(const Array& x, const Array& dy, Array* y = nullptr) = 0;
  virtual Array add(const Array& a, const Array& b) = 0;     // dtype of a; b may be bf16 under f32
  virtual void accumulate(Array& into, const Array& x) = 0;  // into += x; dtypes may differ
  virtual void scale(Array& x, const Array& factor) = 0;  // x *= factor, a scalar of any float type
  virtual void scale(Array& x, double factor) = 0;
};

}  // namespace folio
