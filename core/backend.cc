#include "core/backend.h"

#include <algorithm>

namespace folio {

Backend& cpu_backend();   // core/cpu
Backend& cuda_backend();  // core/cuda, in a build that has it

namespace {

#if defined(FOLIO_CUDA)
constexpr bool has_cuda = true;
Backend& cuda() { return cuda_backend(); }
#else
constexpr bool has_cuda = false;
Backend& cuda() {
  fail(
      "this build of folio has no CUDA; configure one with cmake -DFOLIO_CUDA=ON (CUDA 13), or "
      "use --device=cpu");
}
#endif

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
      return device.index == 0 ? "cuda" : fmt::format("cuda:{}", device.index);
    case Device::Type::registered:
      return registered().at(size_t(device.index)).name;
  }
  return "?";
}

std::vector<std::string> device_names() {
  std::vector<std::string> names{"cpu"};
  if (has_cuda) names.emplace_back("cuda");
  for (const Registered& device : registered()) names.push_back(device.name);
  return names;
}

Device device_named(std::string_view name) {
  if (name == "cpu") return cpu;
  if (name == "cuda") {
    cuda();  // Error if there is none
    return Device(Device::Type::cuda);
  }
  for (size_t i = 0; i < registered().size(); ++i)
    if (registered()[i].name == name) return Device(Device::Type::registered, int(i));
  fail("device \"{}\" is not available in this build of folio; use --device=cpu", name);
}

BackendCall backend(Device device, const Caller& caller) {
  if (device.type == Device::Type::cpu) return {cpu_backend(), device, caller};
  if (device.type == Device::Type::cuda) return {cuda(), device, caller};
  return {*registered().at(size_t(device.index)).backend, device, caller};
}

IdRange range_of(std::span<const int32_t> ids) {
  if (ids.empty()) return {};
  const auto [least, most] = std::ranges::minmax(ids);
  return {least, int64_t{most} + 1};
}

Array token_ids(std::span<const int32_t> ids, Shape shape, int64_t vocab_size, Device device,
                std::string_view what) {
  Array array(shape, DType::i32, device);
  write_token_ids(ids, vocab_size, array, what);
  return array;
}

void write_token_ids(std::span<const int32_t> ids, int64_t vocab_size, Array& to,
                     std::string_view what) {
  check(std::ssize(ids) == to.size(), "{}: {} tokens for shape {}", what, ids.size(), to.shape());
  const int64_t length = to.dim(-1);
  for (size_t i = 0; i < ids.size(); ++i)
    check(0 <= ids[i] && ids[i] < vocab_size,
          "{}: token {} at [{}, {}] is not in the vocabulary [0, {})", what, ids[i],
          int64_t(i) / length, int64_t(i) % length, vocab_size);
  backend(to)->memory.write(ids.data(), to);
  to.set_id_range(range_of(ids));
}

Array target_ids(std::span<const int32_t> ids, Shape shape, int64_t vocab_size, Device device,
                 std::string_view what) {
  for (size_t i = 0; i < ids.size(); ++i)
    check(-1 <= ids[i] && ids[i] < vocab_size,
          "{}: target {} at position {} is outside the vocabulary of {}; use 0 to {}, or -1 to "
          "ignore a position",
          what, ids[i], i, vocab_size, vocab_size - 1);
  return to_array(ids, shape, device);
}

double item(const Array& scalar) {
  check(scalar.size() == 1, "item: needs one element, got shape {}", scalar.shape());
  return to_vector<double>(backend(scalar)->elementwise.cast(scalar, DType::f64))[0];
}

Array full(Shape shape, double value, DType dtype, Device device) {
  Array array(shape, dtype, device);
  backend(device)->elementwise.fill(array, value);
  if (dtype == DType::i32) array.set_id_range({int64_t(value), int64_t(value) + 1});
  return array;
}

Array zeros(Shape shape, DType dtype, Device device) { return full(shape, 0, dtype, device); }

Array to(const Array& x, Device device) {
  if (x.device() == device) return x;
  Array copy(x.shape(), x.dtype(), device);
  backend(device)->memory.write([&](void* host) { backend(x)->memory.read(x, host); }, copy);
  if (x.id_range()) copy.set_id_range(*x.id_range());
  return copy;
}

}  // namespace folio
