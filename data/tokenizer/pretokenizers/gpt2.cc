#include "data/tokenizer/pretokenizers/gpt2.h"

#include "data/tokenizer/pretokenizers/char_runs.h"

namespace folio {
namespace {

// The bytes of 's, 'd, 'm, 't, 'll, 've or 're at the start of `text`, or 0.
size_t contraction(std::string_view text) {
  if (text.size() < 2 || text[0] != '\'') return 0;
  switch (text[1]) {
    case 's':
    case 'd':
    case 'm':
    case 't':
      return 2;
    case 'l':
      return text.substr(2).starts_with('l') ? 3 : 0;
    case 'v':
    case 'r':
      return text.substr(2).starts_with('e') ? 3 : 0;
    default:
      return 0;
  }
}

}  // namespace

size_t pretoken_end(std::string_view text, size_t at) {
  if (text[at] == ' ' && at + 1 < text.size()) {
    CharClass next = char_at(text, at + 1).kind;
    if (next != CharClass::space) return run_end(text, at + 1, next);
  }
  if (text[at] == '\'')
    if (size_t bytes = contraction(text.substr(at))) return at + bytes;
  CharClass kind = char_at(text, at).kind;
  size_t end = run_end(text, at, kind);
  return kind == CharClass::space ? spaces_pretoken_end(text, at, end) : end;
}

size_t last_safe_cut(std::string_view text) {
  for (size_t at = text.size(); at > 1; --at) {
    auto byte = static_cast<unsigned char>(text[at - 1]);
    if (byte >= 0x80 || ascii_classes[byte] != CharClass::space) continue;
    size_t before = char_start(text, at - 1);
    if (char_at(text, before).kind != CharClass::space) return at - 1;
  }
  return 0;
}

}  // namespace folio
