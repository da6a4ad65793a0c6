#pragma once
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 32
#include <pcre2.h>

#include "data/text/utf8.h"
#include "data/tokenizer/pretokenizers/unicode_classes.h"

namespace folio {

// A pattern matched by PCRE2, one match after the other. Its classes have folio's characters beside
// PCRE2's own, whose Unicode may be older, so that what is compared is how text is cut.
class Pcre2Pattern {
 public:
  // L, N and S in `pattern` stand for what is between the brackets of the classes of letters,
  // numbers and spaces.
  explicit Pcre2Pattern(const std::u32string& pattern) {
    const std::u32string letter = UR"(\p{L})" + newer_ones(CharClass::letter),
                         number = UR"(\p{N})" + newer_ones(CharClass::number),
                         space = UR"(\t-\r\x{85}\p{Z})";
    std::u32string whole;
    for (char32_t c : pattern)
      whole += c == U'L' ? letter : c == U'N' ? number : c == U'S' ? space : std::u32string(1, c);
    int error;
    size_t where;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(whole.data()), whole.size(),
                          PCRE2_UTF | PCRE2_UCP, &error, &where, nullptr);
    match_ = pcre2_match_data_create_from_pattern(code_, nullptr);
  }
  Pcre2Pattern(const Pcre2Pattern&) = delete;
  ~Pcre2Pattern() {
    pcre2_match_data_free(match_);
    pcre2_code_free(code_);
  }
  // The ends of the matches, in characters.
  std::vector<size_t> cuts(const std::u32string& text) const {
    std::vector<size_t> ends;
    for (size_t at = 0; at < text.size(); at = ends.back()) {
      int found = pcre2_match(code_, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                              PCRE2_ANCHORED, match_, nullptr);
      if (found < 1) ADD_FAILURE() << "no match at " << at;
      if (found < 1) break;
      ends.push_back(pcre2_get_ovector_pointer(match_)[1]);
    }
    return ends;
  }
  // Expects end_of(UTF-8, at) to be where the match at `at` ends.
  template <class F>
  void expect_same_cuts(const std::u32string& text, F&& end_of) const {
    std::string bytes;
    std::vector<size_t> begins;  // of each character, and the end
    for (char32_t c : text) {
      begins.push_back(bytes.size());
      append_utf8(bytes, c);
    }
    begins.push_back(bytes.size());
    std::vector<size_t> expected, found;
    for (size_t end : cuts(text)) expected.push_back(begins[end]);
    for (size_t at = 0; at < bytes.size(); found.push_back(at)) at = end_of(bytes, at);
    EXPECT_EQ(found, expected) << testing::PrintToString(bytes);
  }

 private:
  // As ranges: PCRE2 would look through so many single characters one by one.
  static std::u32string newer_ones(CharClass kind) {
    auto wanted = [&](char32_t c) { return is_newer(c) && char_class(c) == kind; };
    std::u32string ranges;
    for (char32_t c = 0x80; c < 0x110000; ++c) {
      if (!wanted(c)) continue;
      const char32_t first = c;
      while (wanted(c + 1)) ++c;
      ranges += {first, U'-', c};
    }
    return ranges;
  }
  static bool is_newer(char32_t c) {  // the planes and places that Unicode 15 and 16 filled
    return c > 0x10000 || (0x1c80 <= c && c < 0x1c90) || (0xa7c0 <= c && c < 0xa7f0);
  }
  pcre2_code* code_ = nullptr;
  pcre2_match_data* match_ = nullptr;
};

// Calls f with every three of `kinds`, a character or two of each kind that a pattern or its cutter
// treats on its own, and some of them again.
template <class F>
void for_each_triple(const std::u32string& kinds, F&& f) {
  for (char32_t a : kinds)
    for (char32_t b : kinds)
      for (char32_t c : kinds) f(std::u32string{a, b, c, U'a', a, c});
}

// Calls f with 20,000 texts of up to 40 characters, `common` ones and some of any.
template <class F>
void for_each_random_text(unsigned seed, const std::u32string& common, F&& f) {
  std::mt19937 random(seed);
  for (int trial = 0; trial < 20000; ++trial) {
    std::u32string text;
    for (size_t n = 1 + random() % 40; n > 0; --n) {
      char32_t c = common[random() % common.size()];
      if (random() % 8 == 0) c = random() % 0x110000;
      if (random() % 8 == 0) c = random() % 0x3100;
      text += (c >> 11) == 0x1b ? U'x' : c;
    }
    f(text);
  }
}

}  // namespace folio
