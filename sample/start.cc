#include "sample/start.h"

#include <algorithm>

#include "core/check.h"
#include "data/files/files.h"

namespace folio {
namespace {

Start default_start(const Tokenizer& tokenizer) {
  if (auto starts = tokenizer.start_tokens(); !starts.empty())
    return {"", starts, "the token that texts start with"};
  if (auto end = tokenizer.end_of_text()) return {"", {*end}, "the end-of-text token"};
  if (can_spell(tokenizer, "\n")) return {"\n", tokenizer.encode("\n"), "a newline"};
  check(tokenizer.vocab_size() > 0, "the tokenizer has no tokens: there is nothing to start from");
  std::vector<int32_t> first{0};
  std::string text = tokenizer.decode(first);
  return {text, first, fmt::format("\"{}\", the vocabulary's first", text)};
}

}  // namespace

bool can_spell(const Tokenizer& tokenizer, const std::string& text) {
  try {
    tokenizer.encode(text);
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::string text_of(const std::string& start) {
  return start.starts_with("FILE:") ? read_file(start.substr(5)) : start;
}

Start start_of(const std::string& start, const Tokenizer& tokenizer) {
  std::string text = text_of(start);
  if (text.empty()) return default_start(tokenizer);
  std::vector<int32_t> tokens = tokenizer.start_tokens(),
                       ids = tokenizer.encode(text, SpecialTokens::allowed);
  bool has_them =
      ids.size() >= tokens.size() && std::equal(tokens.begin(), tokens.end(), ids.begin());
  if (has_them) tokens.clear();  // the text says so itself
  tokens.insert(tokens.end(), ids.begin(), ids.end());
  return {text, tokens, ""};
}

}  // namespace folio
