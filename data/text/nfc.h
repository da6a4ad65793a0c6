#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace folio {

// The text, UTF-8, in Unicode's normalization form C as Hugging Face's tokenizers makes it, whose
// tables are Unicode 9's: a mark or a composition that came later is to it a character like any
// other. Nothing if that is the text itself. Takes time in proportion to the text's length, but for
// a long row of marks, which are sorted.
std::optional<std::string> nfc(std::string_view text);

}  // namespace folio
