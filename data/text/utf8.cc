#include "data/text/utf8.h"

#include <cstdint>
#include <cstring>

namespace folio {

Utf8 decode_multibyte(std::string_view text, size_t at) {
  auto byte = [&](size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0;
  };
  auto continues = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  auto fault = [](const char* why) { return Utf8{0, 1, why}; };

  unsigned lead = byte(0);
  if (lead < 0x80) return {lead};
  if (lead < 0xc0) return fault("continues no character");
  if (lead < 0xc2) return fault("starts an overlong form");
  if (lead > 0xf4) return fault("starts a character above U+10FFFF");

  // The limits of a character's range bind its second byte alone.
  if (lead == 0xe0 && continues(1) && byte(1) < 0xa0) return fault("starts an overlong form");
  if (lead == 0xed && continues(1) && byte(1) > 0x9f) return fault("starts a UTF-16 surrogate");
  if (lead == 0xf0 && continues(1) && byte(1) < 0x90) return fault("starts an overlong form");
  if (lead == 0xf4 && continues(1) && byte(1) > 0x8f)
    return fault("starts a character above U+10FFFF");

  int bytes = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  char32_t code_point = lead & (0x7fu >> bytes);
  for (int i = 1; i < bytes; ++i) {
    if (!continues(size_t(i))) return fault("starts a character that is cut short");
    code_point = code_point << 6 | (byte(size_t(i)) & 0x3f);
  }
  return {code_point, bytes};
}

size_t utf8_prefix(std::string_view text) {
  for (size_t at = 0;;) {
    at += ascii_eights(text, at);
    // Through what is not ASCII, and the last bytes.
    size_t end = at + 8;
    for (; at < end;) {
      if (at == text.size()) return at;
      Utf8 next = decode_utf8(text, at);
      if (next.fault) return at;
      at += size_t(next.bytes);
    }
  }
}

void append_utf8(std::string& text, char32_t c) {
  auto tail = [&](int shift) { text += char(0x80 | ((c >> shift) & 0x3f)); };
  if (c < 0x80) {
    text += char(c);
  } else if (c < 0x800) {
    text += char(0xc0 | c >> 6);
    tail(0);
  } else if (c < 0x10000) {
    text += char(0xe0 | c >> 12);
    tail(6), tail(0);
  } else {
    text += char(0xf0 | c >> 18);
    tail(12), tail(6), tail(0);
  }
}

std::string describe(char32_t c) {
  std::string character;
  if (c == '\n')
    character = "\\n";
  else if (c == '\r')
    character = "\\r";
  else if (c == '\t')
    character = "\\t";
  else if (c < 0x20 || (0x7f <= c && c < 0xa0))
    return fmt::format("U+{:04X}", uint32_t(c));
  else
    append_utf8(character, c);
  return fmt::format("'{}' (U+{:04X})", character, uint32_t(c));
}

}  // namespace folio
