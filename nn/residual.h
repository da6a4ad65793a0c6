#pragma once
#include "autograd/ops.h"

namespace folio {

// The residual stream x [B, T, C] of a model: norms read it, and layers add to it. A layer's
// result waits until x is next read: by a norm it is added in one op with that.
class Residual {
 public:
  Residual(Tensor x) : x_(std::move(x)) {}  // NOLINT(google-explicit-constructor)

  // x = x + dropout(y)
  void add(const Tensor& y, const Dropout& dropout);
  // x
  const Tensor& value();
  // norm(x, w, b, norm, dtype), where `dtype` is that of all that is added.
  Tensor norm(const Tensor& w, const Tensor& b, const Norm& norm, DType dtype);

 private:
  Tensor x_, y_;  // x is x_ + dropout_(y_), or x_ if y_ is undefined
  Dropout dropout_;
};

}  // namespace folio
