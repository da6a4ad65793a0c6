#include "sample/start.h"

#include "core/check.h"
#include "data/files/files.h"

namespace folio {
namespace {

Start default_start(const Tokenizer& tokenizer) {
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
  return {text, tokenizer.encode(text, SpecialTokens::allowed), ""};
}

}  // namespace folio
