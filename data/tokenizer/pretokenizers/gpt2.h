#pragma once
#include <cstddef>
#include <string_view>

namespace folio {

// GPT-2 cuts text into pretokens, the matches of
//   '(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// one after the other; no token crosses a cut. This is where the match that starts at `at` ends.
// `text` is UTF-8 and at < text.size() is the start of a character.
size_t pretoken_end(std::string_view text, size_t at);

// The last place in `text` before which and after which the pretokens are the same whether the text
// is cut there or not, and whatever comes after `text`; 0 if there is none. Such a place is a space
// after a character that is none.
size_t last_safe_cut(std::string_view text);

}  // namespace folio
