#include "data/tokenizer/byte_alphabet.h"

#include <array>

#include "data/text/utf8.h"

namespace folio {
namespace {

constexpr bool prints(unsigned byte) {  // in Latin-1, and is no space or soft hyphen
  return ('!' <= byte && byte <= '~') || (0xa1 <= byte && byte <= 0xff && byte != 0xad);
}

constexpr size_t shifted = 68;  // bytes that do not print

struct Alphabet {
  std::array<char32_t, 256> letter{};
  std::array<int16_t, 0x100 + shifted> byte{};  // -1: no letter
};

constexpr Alphabet alphabet = [] {
  Alphabet made;
  made.byte.fill(-1);
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    made.letter[byte] = prints(byte) ? byte : next++;
    made.byte[made.letter[byte]] = int16_t(byte);
  }
  return made;
}();

}  // namespace

std::string spell_bytes(std::string_view bytes) {
  std::string spelling;
  for (char byte : bytes) append_utf8(spelling, alphabet.letter[static_cast<unsigned char>(byte)]);
  return spelling;
}

std::optional<std::string> spelled_bytes(std::string_view spelling) {
  std::string bytes;
  for (size_t at = 0; at < spelling.size();) {
    Utf8 c = decode_utf8(spelling, at);
    if (c.fault || c.code_point >= alphabet.byte.size() || alphabet.byte[c.code_point] < 0)
      return {};
    bytes += char(alphabet.byte[c.code_point]);
    at += size_t(c.bytes);
  }
  return bytes;
}

}  // namespace folio
