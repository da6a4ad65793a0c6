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

Tensor Residual::layer_norm(const Tensor& w, const Tensor& b, DType dtype) {
  if (!y_.defined()) return folio::layer_norm(x_, w, b, dtype);
  auto [sum, normed] = add_dropout_layer_norm(x_, std::exchange(y_, {}), dropout_, w, b);
  x_ = sum;
  return normed;
}

}  // namespace folio
