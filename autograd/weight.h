#pragma once
#include "autograd/tensor.h"

namespace folio {

// A matrix [N, K] that activations are multiplied by: dense, which can be trained, or packed, which
// is laid out for inference alone. Packing gives the dense memory back, and dense values that
// arrive later are the ones that count, so a packed copy of other values is never read.
struct Weight {
  Tensor dense;         // f32 (f64 in gradient checks); its shape alone once it is packed
  PackedWeight packed;  // or undefined

  Weight() = default;
  Weight(Tensor dense) : dense(std::move(dense)) {}  // NOLINT(google-explicit-constructor)

  const Shape& shape() const { return dense.shape(); }
  bool is_packed() const { return packed.defined() && !dense.defined(); }
  // Error if the values are packed already, or were never there.
  void pack(WeightFormat format);
};

}  // namespace folio
