#include "configs/option_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "core/text/columns.h"

namespace folio {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '\n')
      out += "\\n";
    else if (c == '"' || c == '\\')
      out += {'\\', c};
    else
      out += c;
  }
  return out + '"';
}

std::string shown(const OptionValue& value) {
  if (auto* text = std::get_if<std::string>(&value)) return quoted(*text);
  std::string text = std::visit(
      [](const auto& typed) -> std::string {
        if constexpr (std::is_arithmetic_v<std::decay_t<decltype(typed)>>)
          return fmt::format("{}", typed);
        return "";
      },
      value);
  bool whole = text.find_first_not_of("-0123456789") == text.npos;
  return std::holds_alternative<double>(value) && whole ? text + ".0" : text;
}

std::string wrapped(std::string_view text, size_t width, size_t indent, size_t used) {
  std::string out;
  size_t column = used;
  bool line_begins = true;
  while (!text.empty()) {
    size_t end = std::min(text.find(' '), text.size());
    std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line_begins && column + 1 + columns_of(word) > width) {
      out += '\n' + std::string(indent, ' ');
      column = indent;
      line_begins = true;
    }
    if (!line_begins) out += ' ';
    column += columns_of(word) + !line_begins;
    out += word;
    line_begins = false;
  }
  return out;
}

}  // namespace folio
