#pragma once
#include <string>
#include <string_view>

namespace folio {

// The text for a terminal: what would steer it, or turn the order of characters around, is shown as
// \x1b or \u202e instead, and bytes that are not UTF-8 as U+FFFD. Newlines and tabs stay unless
// `one_line`.
std::string visible(std::string_view text, bool one_line = false);

}  // namespace folio
