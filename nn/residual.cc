#include "nn/residual.h"

namespace folio {

void Residual::add(const Tensor& y, const Dropout& dropout) {
  value();
  y_ = y;
  dropout_ = dropout;
}

const Tensor& Residual::value() {
  if (y_.defined()) x_ = add_dropout(x_, std::exchange(y_, {}), dropout_);
  return x_;
}

Tensor Residual::norm(const Tensor& w, const Tensor& b, const Norm& norm, DType dtype) {
  if (!y_.defined()) return folio::norm(x_, w, b, norm, dtype);
  auto [sum, normed] = add_dropout_norm(x_, std::exchange(y_, {}), dropout_, w, b, norm);
  x_ = sum;
  return normed;
}

}  // namespace folio
