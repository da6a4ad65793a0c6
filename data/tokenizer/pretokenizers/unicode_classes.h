#pragma once
#include <cstdint>

namespace folio {

// What patterns ask of a code point: \p{L}, \p{N}, \s or none of them.
enum class CharClass : uint8_t { other, letter, number, space };

// By Unicode 16, whatever Unicode the installed PCRE2 knows. \s is Unicode's White_Space.
CharClass char_class(char32_t c);

// \w as Unicode's annex 18 defines it: alphabetic, a mark, a decimal digit, a connector or a
// joiner.
bool is_word(char32_t c);

}  // namespace folio
