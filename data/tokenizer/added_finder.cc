#include "data/tokenizer/added_finder.h"

#include <algorithm>

#include "data/tokenizer/pretokenizers/char_runs.h"

namespace folio {
namespace {

bool is_space(std::string_view text, size_t at) {
  return char_at(text, at).kind == CharClass::space;
}
bool is_word_at(std::string_view text, size_t at) {
  return is_word(decode_utf8(text, at).code_point);
}

}  // namespace

uint32_t AddedFinder::start_of(std::string_view spelling) {
  auto byte = [&](size_t i) { return uint32_t(static_cast<unsigned char>(spelling[i])); };
  return spelling.size() > 1 ? byte(0) << 8 | byte(1) : 0x10000 | byte(0);
}

void AddedFinder::add(std::string_view spelling, const AddedToken& token) {
  std::vector<size_t>& start = starts_[start_of(spelling)];
  auto place = std::ranges::find_if(
      start, [&](size_t i) { return tokens_[i].spelling.size() < spelling.size(); });
  start.insert(place, tokens_.size());
  tokens_.push_back({std::string(spelling), token});
  first_bytes_[static_cast<unsigned char>(spelling[0])] = true;
  any_plain_ |= !token.special;
}

bool AddedFinder::next(std::string_view text, size_t from, Match& match) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (!first_bytes_[static_cast<unsigned char>(text[at])]) continue;
    std::string_view rest = text.substr(at);
    for (size_t bytes : {size_t(2), size_t(1)}) {
      if (rest.size() < bytes) continue;
      auto start = starts_.find(start_of(rest.substr(0, bytes)));
      if (start == starts_.end()) continue;
      for (size_t i : start->second)
        if (rest.starts_with(tokens_[i].spelling)) {
          match = {at, at + tokens_[i].spelling.size(), &tokens_[i]};
          return true;
        }
    }
  }
  return false;
}

std::optional<AddedFinder::Found> AddedFinder::accept(std::string_view text, const Match& match,
                                                      bool special, size_t taken) {
  const AddedToken& kind = match.token->kind;
  auto [begin, end, token] = match;
  if (kind.special && !special) return {};
  if (kind.single_word) {
    bool word_before = begin > 0 && is_word_at(text, char_start(text, begin));
    bool word_after = end < text.size() && is_word_at(text, end);
    if (word_before || word_after) return {};
  }
  if (kind.lstrip)
    while (begin > taken && is_space(text, char_start(text, begin)))
      begin = char_start(text, begin);
  if (kind.rstrip)
    while (end < text.size() && is_space(text, end)) end += char_at(text, end).bytes;
  return Found{begin, end, kind.id};
}

bool AddedFinder::takes_what_follows(std::string_view text) const {
  return std::ranges::any_of(tokens_, [&](const Token& token) {
    return token.kind.rstrip && text.ends_with(token.spelling);
  });
}

}  // namespace folio
