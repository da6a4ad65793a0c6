#pragma once
#include <span>
#include <string>
#include <string_view>

namespace folio {

// The candidate with the fewest edits (insert, delete, replace a character) from `word`; the first
// of several. Empty when every one is further away than a slip of the hand: more than a third of
// the word, and at least two edits.
std::string nearest(std::string_view word, std::span<const std::string> candidates);

}  // namespace folio
