#include "core/backend.h"

namespace folio {

Backend& cpu_backend();  // core/cpu

std::string name_of(Device device) {
  return device.type == Device::Type::cpu ? "cpu" : fmt::format("cuda:{}", device.index);
}

Device device_named(std::string_view name) {
  if (name == "cpu") return cpu;
  fail("device \"{}\" is not available in this build of folio; use --device=cpu", name);
}

Backend& backend(Device device) {
  check(device.type == Device::Type::cpu, "this build of folio has no backend for {}", device);
  return cpu_backend();
}

double item(const Array& scalar) {
  check(scalar.size() == 1, "item: needs one element, got shape {}", scalar.shape());
  return to_vector<double>(backend(scalar).cast(scalar, DType::f64))[0];
}

Array full(Shape shape, double value, DType dtype, Device device) {
  Array array(shape, dtype, device);
  backend(device).fill(array, value);
  return array;
}

Array zeros(Shape shape, DType dtype, Device device) { return full(shape, 0, dtype, device); }

Array to(const Array& x, Device device) {
  if (x.device() == device) return x;
  Array copy(x.shape(), x.dtype(), device);
  backend(device).write([&](void* host) { backend(x).read(x, host); }, copy);
  return copy;
}

}  // namespace folio
