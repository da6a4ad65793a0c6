#pragma once
#include <cstdint>

namespace folio {

// What GPT-2's pattern asks of a code point: \p{L}, \p{N}, \s or none of them.
enum class CharClass : uint8_t { other, letter, number, space };

// By Unicode 16, whatever Unicode the installed PCRE2 knows. \s is Unicode's White_Space.
CharClass char_class(char32_t c);

}  // namespace folio
