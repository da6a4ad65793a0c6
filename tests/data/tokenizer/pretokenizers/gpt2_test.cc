#include "data/tokenizer/pretokenizers/gpt2.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "data/text/utf8.h"
#include "data/tokenizer/pretokenizers/unicode_classes.h"
#include "tests/data/tokenizer/pretokenizers/pcre2_pattern.h"

namespace folio {
namespace {

void expect_same_cuts(const std::u32string& text) {
  static const Pcre2Pattern pattern(
      UR"('(?:[sdmt]|ll|ve|re)| ?[L]+| ?[N]+| ?[^SLN]+|[S]+(?![^S])|[S]+)");
  pattern.expect_same_cuts(text, pretoken_end);
}

TEST(Gpt2Pretokens, CutsAsPcre2MatchesThePattern) {
  for_each_triple(U"sdmtlvreaZ'09 \t\n\u00a0\u3000\u0085.-\u00e9\u4f60\u0663\u20ac\U0001F600",
                  expect_same_cuts);
}

TEST(Gpt2Pretokens, CutsRandomTextAsPcre2) {
  for_each_random_text(
      4, U"   'sdtmlverexyzABC019.,-\n\n\t\u00a0\u00e9\u0436\u4f60\u0663\u0301\U0001F600",
      expect_same_cuts);
}

TEST(Gpt2Pretokens, SafeCutsChangeNothing) {
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

TEST(UnicodeClasses, WordsAreAsAnnex18Says) {
  for (char32_t c : std::u32string_view(
           U"aZ9_\u00e9\u4f60\u0663\u0301\u200d\u203f\u24b6\U00031350\U00011f00\U00010d40"))
    EXPECT_TRUE(is_word(c)) << describe(c);
  for (char32_t c :
       std::u32string_view(U" -.\n\u00bd\u00b2\u00a0\u2019\u200b\U0001F600\U0001d2c0\U0010ffff"))
    EXPECT_FALSE(is_word(c)) << describe(c);
}

}  // namespace
}  // namespace folio
