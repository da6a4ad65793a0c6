#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "core/check.h"

namespace folio {

// A code point and the bytes that it takes, or, where the bytes are not UTF-8, why not.
struct Utf8 {
  char32_t code_point = 0;
  int bytes = 1;
  const char* fault = nullptr;
};

// The code point that starts at text[at]; at < text.size(). Accepts exactly the well-formed
// sequences of the Unicode standard, table 3-7.
Utf8 decode_multibyte(std::string_view text, size_t at);
inline Utf8 decode_utf8(std::string_view text, size_t at) {
  auto byte = static_cast<unsigned char>(text[at]);
  return byte < 0x80 ? Utf8{byte} : decode_multibyte(text, at);
}

// The number of ASCII characters from text[at], as far as 8 of them go together.
inline size_t ascii_eights(std::string_view text, size_t at) {
  const size_t begin = at;
  for (uint64_t bytes; at + 8 <= text.size(); at += 8) {
    std::memcpy(&bytes, text.data() + at, 8);
    if (bytes & 0x8080808080808080) break;
  }
  return at - begin;
}

// The bytes that `text` starts with and that are whole UTF-8 characters.
size_t utf8_prefix(std::string_view text);

// Calls f(code point, byte offset) for all of `text`. Throws Error at the first byte that is not
// UTF-8, with its offset; `name` is what the message calls the text.
template <class F>
void for_each_code_point(std::string_view text, std::string_view name, F&& f) {
  for (size_t at = 0; at < text.size();) {
    Utf8 next = decode_utf8(text, at);
    check(!next.fault,
          "{} is not UTF-8: byte 0x{:02x} at offset {} {}; convert it, e.g. with iconv", name,
          static_cast<unsigned char>(text[at]), at, next.fault);
    f(next.code_point, at);
    at += size_t(next.bytes);
  }
}

void append_utf8(std::string& text, char32_t code_point);

// For messages: 'é' (U+00E9), and for what does not print, '\n' (U+000A) or U+0007.
std::string describe(char32_t code_point);

}  // namespace folio
