#pragma once
#include <cstddef>
#include <string_view>

namespace folio {

// tiktoken's cl100k_base, and after it Llama 3 and, with single digits, Qwen, cut text into the
// matches of
//   (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
//   |\s*[\r\n]+|\s+(?!\S)|\s+
// one after the other, where \p{N}{1,3} is \p{N}{1,`digits`}. This is where the match that starts
// at `at` ends. `text` is UTF-8 and at < text.size() is the start of a character.
size_t cl100k_end(std::string_view text, size_t at, int digits);

}  // namespace folio
