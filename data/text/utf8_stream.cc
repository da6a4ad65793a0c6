#include "data/text/utf8_stream.h"

#include "data/text/utf8.h"

namespace folio {
namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";  // U+FFFD

// Whether more bytes can make a character of these.
bool begins_character(std::string_view bytes) {
  // The limits of the second byte leave either the lowest or the highest continuation possible.
  for (char rest : {'\x80', '\xbf'})
    if (!decode_utf8(std::string(bytes) + std::string(3, rest), 0).fault) return true;
  return false;
}

// The bytes at text[at], where no character is, that one replacement stands for: the longest
// beginning of a character (the Unicode standard, section 3.9, "maximal subpart").
size_t faulty_bytes(std::string_view text, size_t at) {
  size_t bytes = 1;
  while (at + bytes < text.size() && begins_character(text.substr(at, bytes + 1))) ++bytes;
  return bytes;
}

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  waiting_ += bytes;
  std::string whole;
  size_t at = 0;
  while (at < waiting_.size()) {
    Utf8 next = decode_utf8(waiting_, at);
    if (!next.fault) {
      whole.append(waiting_, at, size_t(next.bytes));
      at += size_t(next.bytes);
      continue;
    }
    size_t faulty = faulty_bytes(waiting_, at);
    if (at + faulty == waiting_.size() && begins_character(waiting_.substr(at))) break;
    whole += replacement;
    at += faulty;
  }
  waiting_.erase(0, at);
  return whole;
}

std::string Utf8Stream::finish() {
  bool cut = !waiting_.empty();
  waiting_.clear();
  return cut ? std::string(replacement) : "";
}

}  // namespace folio
