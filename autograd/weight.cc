#include "autograd/weight.h"

namespace folio {

void Weight::pack(WeightFormat format) {
  const Array& values = dense.array();
  check(!is_packed(), "pack: the weights are packed in {} already", packed.format);
  check(values.defined(), "pack: a weight {} has a shape but no values", values.shape());
  packed = backend(values)->packed.pack(values, format);
  dense = Tensor::leaf(Array::shape_only(values.shape(), values.dtype()));
}

}  // namespace folio
