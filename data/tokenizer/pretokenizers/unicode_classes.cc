#include "data/tokenizer/pretokenizers/unicode_classes.h"

#define PCRE2_CODE_UNIT_WIDTH 32
#include <pcre2.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "core/check.h"

namespace folio {
namespace {

// PCRE2's own \s has U+180E, which is no White_Space, and its \w lacks marks.
constexpr std::u32string_view letter = UR"(\p{L}+)", number = UR"(\p{N}+)",
                              space = UR"([\t-\r\x{85}\p{Z}]+)",
                              word = UR"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+)";

struct Range {
  char32_t first, last;
};
// Debian 12's PCRE2 10.42 knows Unicode 14; these came with 15, 15.1 and 16.
constexpr Range newer_letters[] = {
    {0x1c89, 0x1c8a},   {0xa7cb, 0xa7cd},   {0xa7da, 0xa7dc},   {0x105c0, 0x105f3},
    {0x10d4a, 0x10d65}, {0x10d6f, 0x10d85}, {0x10ec2, 0x10ec4}, {0x1123f, 0x11240},
    {0x11380, 0x11389}, {0x1138b, 0x1138b}, {0x1138e, 0x1138e}, {0x11390, 0x113b5},
    {0x113b7, 0x113b7}, {0x113d1, 0x113d1}, {0x113d3, 0x113d3}, {0x11bc0, 0x11be0},
    {0x11f02, 0x11f02}, {0x11f04, 0x11f10}, {0x11f12, 0x11f33}, {0x1342f, 0x1342f},
    {0x13441, 0x13446}, {0x13460, 0x143fa}, {0x16100, 0x1611d}, {0x16d40, 0x16d6c},
    {0x18cff, 0x18cff}, {0x1b132, 0x1b132}, {0x1b155, 0x1b155}, {0x1df25, 0x1df2a},
    {0x1e030, 0x1e06d}, {0x1e4d0, 0x1e4eb}, {0x1e5d0, 0x1e5ed}, {0x1e5f0, 0x1e5f0},
    {0x2b739, 0x2b739}, {0x2ebf0, 0x2ee5d}, {0x31350, 0x323af}};
constexpr Range newer_numbers[] = {{0x10d40, 0x10d49}, {0x116d0, 0x116e3}, {0x11bf0, 0x11bf9},
                                   {0x11f50, 0x11f59}, {0x16130, 0x16139}, {0x16d70, 0x16d79},
                                   {0x1ccf0, 0x1ccf9}, {0x1d2c0, 0x1d2d3}, {0x1e4f0, 0x1e4f9},
                                   {0x1e5f1, 0x1e5fa}};
// Beside newer letters and numbers, of which Kaktovik's are none.
constexpr Range newer_words[] = {
    {0x897, 0x897},     {0xcf3, 0xcf3},     {0xece, 0xece},     {0x10d69, 0x10d6d},
    {0x10efc, 0x10eff}, {0x11241, 0x11241}, {0x113b8, 0x113c0}, {0x113c2, 0x113c2},
    {0x113c5, 0x113c5}, {0x113c7, 0x113ca}, {0x113cc, 0x113d0}, {0x113d2, 0x113d2},
    {0x113e1, 0x113e2}, {0x11f00, 0x11f01}, {0x11f03, 0x11f03}, {0x11f34, 0x11f3a},
    {0x11f3e, 0x11f42}, {0x11f5a, 0x11f5a}, {0x13440, 0x13440}, {0x13447, 0x13455},
    {0x1611e, 0x1612f}, {0x1e08f, 0x1e08f}, {0x1e4ec, 0x1e4ef}, {0x1e5ee, 0x1e5ef}};
constexpr Range kaktovik = {0x1d2c0, 0x1d2d3};

template <auto F>
struct Free {
  void operator()(auto* p) const { F(p); }
};

// Calls f(Range) for each run of characters that PCRE2 says match.
template <class F>
void each_match(std::u32string_view pattern, const std::vector<uint32_t>& every, F&& f) {
  int error = 0;
  size_t where = 0;
  std::unique_ptr<pcre2_code, Free<pcre2_code_free>> code(
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP, &error, &where, nullptr));
  check(code != nullptr, "PCRE2 cannot compile the classes' pattern: error {} at {}", error, where);
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // where it can, else it is interpreted
  std::unique_ptr<pcre2_match_data, Free<pcre2_match_data_free>> match(
      pcre2_match_data_create_from_pattern(code.get(), nullptr));
  for (size_t at = 0; at < every.size();) {
    int found = pcre2_match(code.get(), every.data(), every.size(), at, PCRE2_NO_UTF_CHECK,
                            match.get(), nullptr);
    if (found < 1) break;
    const size_t* range = pcre2_get_ovector_pointer(match.get());
    f(Range{char32_t(range[0]), char32_t(range[1] - 1)});
    at = range[1];
  }
}

std::vector<uint32_t> every_character() {  // as text: UTF-32 without its surrogates
  std::vector<uint32_t> every(0x110000);
  std::iota(every.begin(), every.end(), 0);
  std::fill(every.begin() + 0xd800, every.begin() + 0xe000, 0);
  return every;
}

std::vector<CharClass> find_classes() {
  const std::vector<uint32_t> every = every_character();
  std::vector<CharClass> classes(every.size());
  auto fill = [&](CharClass kind) {
    return [&classes, kind](Range r) {
      std::fill(classes.begin() + r.first, classes.begin() + r.last + 1, kind);
    };
  };
  each_match(letter, every, fill(CharClass::letter));
  each_match(number, every, fill(CharClass::number));
  each_match(space, every, fill(CharClass::space));
  std::ranges::for_each(newer_letters, fill(CharClass::letter));
  std::ranges::for_each(newer_numbers, fill(CharClass::number));
  return classes;
}

std::vector<bool> find_words() {
  const std::vector<uint32_t> every = every_character();
  std::vector<bool> words(every.size());
  auto set = [&](bool is) {
    return [&words, is](Range r) {
      std::fill(words.begin() + r.first, words.begin() + r.last + 1, is);
    };
  };
  each_match(word, every, set(true));
  for (std::span<const Range> ranges :
       {std::span<const Range>(newer_letters), std::span<const Range>(newer_numbers),
        std::span<const Range>(newer_words)})
    std::ranges::for_each(ranges, set(true));
  set(false)(kaktovik);
  return words;
}

}  // namespace

CharClass char_class(char32_t c) {
  static const std::vector<CharClass> classes = find_classes();
  return classes[c];
}

bool is_word(char32_t c) {
  static const std::vector<bool> words = find_words();
  return words[c];
}

}  // namespace folio
