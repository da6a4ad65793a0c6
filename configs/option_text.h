#pragma once
#include <string>
#include <string_view>

#include "configs/rules.h"

namespace folio {

// In double quotes, on one line: \n, \" and \\ for what would break it.
std::string quoted(std::string_view text);

// As a TOML file would have it: true, 12, 20.0, "text".
std::string shown(const OptionValue& value);

// The text broken between words into lines of up to `width` columns; every line but the first
// begins with `indent` spaces, and the first is `used` columns full already. No newline at the end.
std::string wrapped(std::string_view text, size_t width, size_t indent, size_t used = 0);

}  // namespace folio
