#pragma once
#include <string>
#include <string_view>

namespace folio {

// Turns bytes that come in pieces, cut anywhere, into pieces of whole UTF-8 characters: the start
// of a character waits for its rest. Bytes that begin no character become U+FFFD, as many as
// Unicode recommends and Python's errors="replace" gives.
class Utf8Stream {
 public:
  // What is whole by now, of these bytes and those that waited.
  std::string push(std::string_view bytes);
  // No more bytes come: U+FFFD for a character that was cut short, else nothing.
  std::string finish();

 private:
  std::string waiting_;  // the start of one character, at most 3 bytes
};

}  // namespace folio
