#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace folio {

// What a safetensors header's JSON says, before any of it is believed.
struct RawEntry {
  std::string dtype;
  std::vector<int64_t> shape;              // each at least 0
  std::array<uint64_t, 2> data_offsets{};  // bytes from the end of the header
};
struct RawHeader {
  std::map<std::string, RawEntry> tensors;
  std::map<std::string, std::string> metadata;
};

// {"__metadata__": {"key": "text"}, "NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0,
// 24]}} and nothing else, no name twice. Throws Error that begins with `name` for other text.
RawHeader parse_header_json(std::string_view json, const std::string& name);

}  // namespace folio
