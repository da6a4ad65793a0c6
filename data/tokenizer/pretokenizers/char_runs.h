#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "data/text/utf8.h"
#include "data/tokenizer/pretokenizers/unicode_classes.h"

// What hand-written cutters look at. Texts are UTF-8, places are starts of characters.
namespace folio {

inline constexpr std::array<CharClass, 128> ascii_classes = [] {
  std::array<CharClass, 128> classes{};
  for (char c : {'\t', '\n', '\v', '\f', '\r', ' '}) classes[size_t(c)] = CharClass::space;
  for (char c = '0'; c <= '9'; ++c) classes[size_t(c)] = CharClass::number;
  for (char c = 'a'; c <= 'z'; ++c)
    classes[size_t(c)] = classes[size_t(c - 'a' + 'A')] = CharClass::letter;
  return classes;
}();

// A character's class and its bytes.
struct Char {
  CharClass kind;
  size_t bytes;
};

inline Char char_at(std::string_view text, size_t at) {
  auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {ascii_classes[byte], 1};
  Utf8 c = decode_multibyte(text, at);
  return {char_class(c.code_point), size_t(c.bytes)};
}

// The number of ASCII letters that text[at] starts with, 8 at a time, as far as 8 bytes are left.
inline size_t ascii_letters(std::string_view text, size_t at) {
  constexpr uint64_t each = 0x0101010101010101;
  size_t begin = at;
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t bytes;
    std::memcpy(&bytes, text.data() + at, 8);
    // The top bit of a byte: is it from 'a' on, past 'z', not ASCII? No sum carries out of its
    // byte.
    uint64_t lower = (bytes | 0x20 * each) & 0x7f * each;
    uint64_t from_a = lower + (0x80 - 'a') * each, past_z = lower + (0x7f - 'z') * each;
    uint64_t others = (~from_a | past_z | bytes) & 0x80 * each;
    if (others) return at + size_t(std::countr_zero(others)) / 8 - begin;
  }
  return at - begin;
}

// Where the characters of this kind end that begin at `at`.
inline size_t run_end(std::string_view text, size_t at, CharClass kind) {
  if (kind == CharClass::letter) at += ascii_letters(text, at);
  while (at < text.size()) {
    Char next = char_at(text, at);
    if (next.kind != kind) break;
    at += next.bytes;
  }
  return at;
}

inline size_t char_start(std::string_view text, size_t end) {  // of the character before `end`
  do --end;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80);
  return end;
}

// Where the pretoken ends that begins a run of spaces, text[at, end). At the end of the text it is
// the whole run. Before other text the run's last space begins the next pretoken, unless it is the
// only one.
inline size_t spaces_pretoken_end(std::string_view text, size_t at, size_t end) {
  if (end == text.size()) return end;
  size_t last = char_start(text, end);
  return last > at ? last : end;
}

}  // namespace folio
