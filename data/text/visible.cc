#include "data/text/visible.h"

#include <fmt/format.h>

#include "data/text/utf8.h"

namespace folio {
namespace {

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7f && c < 0xa0); }

// Unicode's marks, embeddings, overrides and isolates of direction, and its own ends of lines.
bool turns_text(char32_t c) {
  return c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
         (c >= 0x2066 && c <= 0x2069);
}

}  // namespace

std::string visible(std::string_view text, bool one_line) {
  std::string shown;
  for (size_t at = 0; at < text.size();) {
    const Utf8 next = decode_utf8(text, at);
    const char32_t c = next.code_point;
    const bool stays = !one_line && (c == '\n' || c == '\t');
    if (next.fault)
      shown += "\uFFFD";
    else if (is_control(c) && !stays)
      shown += fmt::format("\\x{:02x}", uint32_t(c));
    else if (turns_text(c))
      shown += fmt::format("\\u{:04x}", uint32_t(c));
    else
      shown.append(text.substr(at, size_t(next.bytes)));
    at += size_t(next.bytes);
  }
  return shown;
}

}  // namespace folio
