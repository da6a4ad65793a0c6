#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/check.h"

namespace folio {

// Where an Array lives. There is no default: whoever makes an Array says where.
struct Device {
  enum class Type : uint8_t { cpu, cuda, registered };  // the last: by register_backend
  Type type;
  int index;

  constexpr explicit Device(Type type, int index = 0) : type(type), index(index) {}
  friend bool operator==(const Device&, const Device&) = default;
};

inline constexpr Device cpu{Device::Type::cpu};

// Says, while it lives, which device's operations this thread runs, or helps to run; scopes nest.
class RunningOn {
 public:
  explicit RunningOn(std::optional<Device> device) : outer_(device_) { device_ = device; }
  ~RunningOn() { device_ = outer_; }
  RunningOn(const RunningOn&) = delete;
  RunningOn& operator=(const RunningOn&) = delete;

  static std::optional<Device> device() { return device_; }  // none outside of them

 private:
  constinit inline static thread_local std::optional<Device> device_{};
  std::optional<Device> outer_;
};

std::string name_of(Device device);          // as device_named knows it
Device device_named(std::string_view name);  // throws Error for a name or device folio lacks
std::vector<std::string> device_names();     // of those that this process has

}  // namespace folio

template <>
struct fmt::formatter<folio::Device> : fmt::formatter<std::string_view> {
  auto format(folio::Device device, format_context& context) const {
    return fmt::formatter<std::string_view>::format(folio::name_of(device), context);
  }
};
