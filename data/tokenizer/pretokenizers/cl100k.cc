#include "data/tokenizer/pretokenizers/cl100k.h"

#include "data/tokenizer/pretokenizers/char_runs.h"

namespace folio {
namespace {

constexpr std::string_view long_s = "\u017f";  // which without regard to case is an s

// The bytes of 's, 't, 're, 've, 'm, 'll or 'd in either case at the start of `text`, or 0.
size_t contraction(std::string_view text) {
  if (text.size() < 2) return 0;
  auto lower = [&](size_t i) { return i < text.size() ? char(text[i] | 0x20) : '\0'; };
  switch (lower(1)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return 2;
    case 'l':
      return lower(2) == 'l' ? 3 : 0;
    case 'v':
    case 'r':
      return lower(2) == 'e' ? 3 : 0;
    default:
      return text.substr(1).starts_with(long_s) ? 1 + long_s.size() : 0;
  }
}

bool ends_line(char c) { return c == '\r' || c == '\n'; }

// A run of characters that are no letter, number or space, with the line ends after it.
size_t others_end(std::string_view text, size_t at) {
  at = run_end(text, at, CharClass::other);
  while (at < text.size() && ends_line(text[at])) ++at;
  return at;
}

size_t numbers_end(std::string_view text, size_t at, int most) {
  for (; most > 0 && at < text.size(); --most) {
    Char next = char_at(text, at);
    if (next.kind != CharClass::number) break;
    at += next.bytes;
  }
  return at;
}

// A run of spaces up to its last line end; else, before a word, without its last.
size_t spaces_end(std::string_view text, size_t at) {
  size_t end = run_end(text, at, CharClass::space);
  for (size_t line = end; line > at; --line)
    if (ends_line(text[line - 1])) return line;
  return spaces_pretoken_end(text, at, end);
}

}  // namespace

size_t cl100k_end(std::string_view text, size_t at, int digits) {
  if (text[at] == '\'')
    if (size_t bytes = contraction(text.substr(at))) return at + bytes;
  Char first = char_at(text, at);
  if (first.kind == CharClass::letter) return run_end(text, at, CharClass::letter);
  if (first.kind == CharClass::number) return numbers_end(text, at, digits);
  size_t next = at + first.bytes;
  bool more = next < text.size();
  CharClass after = more ? char_at(text, next).kind : CharClass::space;
  if (after == CharClass::letter && !ends_line(text[at]))
    return run_end(text, next, CharClass::letter);
  if (first.kind == CharClass::other) return others_end(text, at);
  if (text[at] == ' ' && after == CharClass::other) return others_end(text, next);
  return spaces_end(text, at);
}

}  // namespace folio
