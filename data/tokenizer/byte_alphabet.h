#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace folio {

// GPT-2's vocabulary files spell a token's bytes as printable characters: those bytes that print in
// Latin-1 as themselves, the others, in order, as U+0100 and on. A space is 'Ġ', a newline 'Ċ'.

std::string spell_bytes(std::string_view bytes);                      // UTF-8
std::optional<std::string> spelled_bytes(std::string_view spelling);  // nothing if it is none

}  // namespace folio
