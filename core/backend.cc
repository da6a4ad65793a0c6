#include "core/backend.h"

namespace folio {

Backend& cpu_backend();  // core/cpu

namespace {

struct Registered {
  std::string name;
  Backend* backend;
};

std::vector<Registered>& registered() {
  static std::vector<Registered>& all = *new std::vector<Registered>;  // outlives every Array
  return all;
}

}  // namespace

Device register_backend(std::string name, Backend& backend) {
  registered().push_back({std::move(name), &backend});
  return Device(Device::Type::registered, int(registered().size()) - 1);
}

std::string name_of(Device device) {
  switch (device.type) {
    case Device::Type::cpu:
      return "cpu";
    case Device::Type::cuda:
      return fmt::format("cuda:{}", device.index);
    case Device::Type::registered:
      return registered().at(size_t(device.index)).name;
  }
  return "?";
}

std::vector<std::string> device_names() {
  std::vector<std::string> names{"cpu"};
  for (const Registered& device : registered()) names.push_back(device.name);
  return names;
}

Device device_named(std::string_view name) {
  if (name == "cpu") return cpu;
  for (size_t i = 0; i < registered().size(); ++i)
    if (registered()[i].name == name) return Device(Device::Type::registered, int(i));
  fail("device \"{}\" is not available in this build of folio; use --device=cpu", name);
}

Backend& backend(Device device) {
  if (device.type == Device::Type::cpu) return cpu_backend();
  check(device.type == Device::Type::registered, "this build of folio has no backend for {}",
        device);
  return *registered().at(size_t(device.index)).backend;
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
