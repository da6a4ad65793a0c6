#include "core/backend.h"

namespace folio {

Backend& cpu_backend();  // core/cpu

Backend& backend(Device device) {
  check(device.type == Device::Type::cpu, "this build of folio has no backend for {}",
        name_of(device));
  return cpu_backend();
}

double item(const Array& scalar) {
  check(scalar.size() == 1, "item: needs one element, got shape {}", scalar.shape());
  return to_vector<double>(backend(scalar).cast(scalar, DType::f64))[0];
}

Array zeros(Shape shape, DType dtype, Device device) {
  Array array(shape, dtype, device);
  backend(device).fill(array, 0);
  return array;
}

}  // namespace folio
