#pragma once
#include <algorithm>
#include <cstddef>
#include <string_view>

namespace folio {

// The code points of UTF-8 text, bytes that do not go on with another's: near enough its width on a
// terminal.
inline size_t columns_of(std::string_view text) {
  return size_t(std::ranges::count_if(text, [](char c) { return (c & 0xc0) != 0x80; }));
}

}  // namespace folio
