#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace folio {

// The text, UTF-8, with a character of the same category and as many bytes in the place of each
// that came with Unicode 15 to 16; nothing without one. Debian 12's Oniguruma, of Unicode 14, has
// no category for those, and the one that Hugging Face's tokenizers brings along has: what matches
// in this text matches there. A pattern that names such a character itself would miss it.
std::optional<std::string> with_older_characters(std::string_view text);

}  // namespace folio
