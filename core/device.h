#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "core/check.h"

namespace folio {

struct Device {
  enum class Type : uint8_t { cpu, cuda };
  Type type = Type::cpu;
  int index = 0;

  friend bool operator==(const Device&, const Device&) = default;
};

inline constexpr Device cpu{};

std::string name_of(Device device);          // "cpu", "cuda:0"
Device device_named(std::string_view name);  // throws Error for a name or device folio lacks

}  // namespace folio
