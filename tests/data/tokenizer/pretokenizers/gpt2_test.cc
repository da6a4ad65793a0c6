#include "data/tokenizer/pretokenizers/gpt2.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#define PCRE2_CODE_UNIT_WIDTH 32
#include <pcre2.h>

#include "data/text/utf8.h"
#include "data/tokenizer/pretokenizers/unicode_classes.h"

namespace folio {
namespace {

// GPT-2's pattern itself, matched by PCRE2. Its classes have folio's characters beside PCRE2's own,
// whose Unicode may be older, so that what is compared is how text is cut.
class Pattern {
 public:
  Pattern() {
    std::u32string letter = UR"(\p{L})", number = UR"(\p{N})";
    std::u32string space = UR"(\t-\r\x{85}\p{Z})";
    for (char32_t c = 0x80; c < 0x110000; ++c) {
      if (char_class(c) == CharClass::letter && is_newer(c)) letter += c;
      if (char_class(c) == CharClass::number && is_newer(c)) number += c;
    }
    std::u32string pattern = U"'(?:[sdmt]|ll|ve|re)| ?[" + letter + U"]+| ?[" + number +
                             U"]+| ?[^" + space + letter + number + U"]+|[" + space + U"]+(?![^" +
                             space + U"])|[" + space + U"]+";
    int error;
    size_t where;
    code_ = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                          PCRE2_UTF | PCRE2_UCP, &error, &where, nullptr);
    match_ = pcre2_match_data_create_from_pattern(code_, nullptr);
  }
  ~Pattern() {
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

 private:
  static bool is_newer(char32_t c) {  // the planes and places that Unicode 15 and 16 filled
    return c > 0x10000 || (0x1c80 <= c && c < 0x1c90) || (0xa7c0 <= c && c < 0xa7f0);
  }
  pcre2_code* code_ = nullptr;
  pcre2_match_data* match_ = nullptr;
};

const Pattern& pattern() {
  static const Pattern pattern;
  return pattern;
}

void expect_same_cuts(const std::u32string& text) {
  std::string bytes;
  std::vector<size_t> begins;  // of each character, and the end
  for (char32_t c : text) {
    begins.push_back(bytes.size());
    append_utf8(bytes, c);
  }
  begins.push_back(bytes.size());
  std::vector<size_t> expected, cuts;
  for (size_t end : pattern().cuts(text)) expected.push_back(begins[end]);
  for (size_t at = 0; at < bytes.size(); cuts.push_back(at)) at = pretoken_end(bytes, at);
  EXPECT_EQ(cuts, expected) << testing::PrintToString(bytes);
}

TEST(Pretokenizer, CutsAsPcre2MatchesThePattern) {
  // A character or two of each kind that the pattern or the code treats on its own.
  const std::u32string kinds =
      U"sdmtlvreaZ'09 \t\n\u00a0\u3000\u0085.-\u00e9\u4f60\u0663\u20ac\U0001F600";
  for (char32_t a : kinds)
    for (char32_t b : kinds)
      for (char32_t c : kinds) expect_same_cuts({a, b, c, U'a', a, c});
}

TEST(Pretokenizer, CutsRandomTextAsPcre2) {
  std::mt19937 random(4);
  const std::u32string common =
      U"   'sdtmlverexyzABC019.,-\n\n\t\u00a0\u00e9\u0436\u4f60\u0663\u0301\U0001F600";
  for (int trial = 0; trial < 20000; ++trial) {
    std::u32string text;
    for (size_t n = 1 + random() % 40; n > 0; --n) {
      char32_t c = common[random() % common.size()];
      if (random() % 8 == 0) c = random() % 0x110000;
      if (random() % 8 == 0) c = random() % 0x3100;
      text += (c >> 11) == 0x1b ? U'x' : c;
    }
    expect_same_cuts(text);
  }
}

TEST(Pretokenizer, SafeCutsChangeNothing) {
  std::mt19937 random(5);
  const std::u32string common = U"    '\n\tsab1.\u00a0\u3000\u4f60\u3002";
  auto cuts = [](std::string_view text) {
    std::vector<std::string> parts;
    for (size_t at = 0, end; at < text.size(); at = end) {
      end = pretoken_end(text, at);
      parts.emplace_back(text.substr(at, end - at));
    }
    return parts;
  };
  int found = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    std::string text, more;
    for (size_t n = random() % 12; n > 0; --n) append_utf8(text, common[random() % common.size()]);
    for (size_t n = random() % 4; n > 0; --n) append_utf8(more, common[random() % common.size()]);
    size_t cut = last_safe_cut(text);
    ASSERT_LE(cut, text.size());
    if (cut == 0) continue;
    ++found;
    text += more;
    auto parts = cuts(std::string_view(text).substr(0, cut));
    for (std::string& part : cuts(std::string_view(text).substr(cut))) parts.push_back(part);
    EXPECT_EQ(parts, cuts(text)) << testing::PrintToString(text) << " at " << cut;
  }
  EXPECT_GT(found, 10000);
  EXPECT_EQ(last_safe_cut("one two three"), 7u);
  EXPECT_EQ(last_safe_cut("\n\nword"), 0u);
  EXPECT_EQ(last_safe_cut("\x80\x80 \x80"), 2u);  // no UTF-8: no crash
}

TEST(UnicodeClasses, AsUnicodesData) {
  const std::pair<char32_t, CharClass> cases[] = {
      {U'a', CharClass::letter},      {U'\u00aa', CharClass::letter},
      {U'\u01c5', CharClass::letter}, {U'\u02b0', CharClass::letter},
      {U'\u4f60', CharClass::letter}, {U'\u0301', CharClass::other},
      {U'7', CharClass::number},      {U'\u00bd', CharClass::number},
      {U'\u2167', CharClass::number}, {U'\u0663', CharClass::number},
      {U'\u00a0', CharClass::space},  {U'\u0085', CharClass::space},
      {U'\u2028', CharClass::space},  {U'\u3000', CharClass::space},
      {U'\u180e', CharClass::other},  {U'\u200b', CharClass::other},
      {U'\u001c', CharClass::other},  {U'\U0001F600', CharClass::other},
      {0x31350, CharClass::letter},   {0x10d40, CharClass::number},
      {0x10ffff, CharClass::other}};
  for (auto [c, kind] : cases) EXPECT_EQ(char_class(c), kind) << describe(c);
}

}  // namespace
}  // namespace folio
