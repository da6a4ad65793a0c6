#include "data/text/nfc.h"

#include <gtest/gtest.h>

#include <random>

#include "data/text/utf8.h"

namespace folio {
namespace {

std::string composed(const std::string& text) { return nfc(text).value_or(text); }

// Of Unicode's annex 15, figures 3 to 6, and of its normalization tests.
TEST(Nfc, ComposesAsAnnex15Shows) {
  const std::pair<const char*, const char*> cases[] = {
      {"e\u0301", "\u00e9"},
      {"\u212b", "\u00c5"},  // a singleton
      {"\u2126", "\u03a9"},
      {"o\u0302\u0323", "\u1ed9"},  // marks in another order
      {"o\u0323\u0302", "\u1ed9"},
      {"\u1e0b\u0323", "\u1e0d\u0307"},
      {"q\u0307\u0323", "q\u0323\u0307"},
      {"\u1e9b\u0323", "\u1e9b\u0323"},
      {"\ufb01", "\ufb01"},        // compatibility alone
      {"\u0958", "\u0915\u093c"},  // excluded from composition
      {"\u0344", "\u0308\u0301"},
      {"\u1100\u1161", "\uac00"},  // Hangul
      {"\u1100\u1161\u11a8", "\uac01"},
      {"\uac00\u11a8", "\uac01"},
      {"\uac01\u11a8", "\uac01\u11a8"},
      {"\u0301e\u0301", "\u0301\u00e9"},  // one that has nothing before it
      {"a\u0301b\u0301", "\u00e1b\u0301"},
      {"\u0928\u093c", "\u0929"},
      {"\u30ab\u3099", "\u30ac"},
      {"\U0001d15e", "\U0001d157\U0001d165"}};
  for (auto [text, expected] : cases) {
    EXPECT_EQ(composed(text), expected) << testing::PrintToString(std::string(text));
    EXPECT_EQ(composed(std::string("one ") + text + " two"),
              std::string("one ") + expected + " two");
  }
}

TEST(Nfc, SaysNothingOfATextThatIsIt) {
  for (const char* text :
       {"", "plain", "caf\u00e9 \u4f60\u597d \uac00", "q\u0323\u0307", "x\u0301"})
    EXPECT_FALSE(nfc(text).has_value()) << text;
}

// Marks and compositions that Unicode 9 did not have: tokenizers leaves them where they are.
TEST(Nfc, NewerMarksAreCharactersLikeOthers) {
  for (const char* text : {"q\u0301\u08cb\u0323", "\u07fd\u0301", "q\u0c3c\u0323\u0334",
                           "\U00011935\U00011930", "e\u1ac0\u0301"})
    EXPECT_EQ(composed(text),
              std::string(text) == "q\u0c3c\u0323\u0334" ? "q\u0c3c\u0334\u0323" : text);
}

TEST(Nfc, IsTheSameOnceMoreAndInPieces) {
  std::mt19937 random(3);
  const std::u32string common =
      U"aeoqA "
      U"\u00e9\u1ed9\u0301\u0302\u0323\u0307\u0334\u0345\u093c\u0928\u1100\u1161\u11a8\uac00\u212b";
  for (int trial = 0; trial < 20000; ++trial) {
    std::string one, two;
    for (std::string* text : {&one, &two})
      for (size_t n = random() % 10; n > 0; --n)
        append_utf8(*text, random() % 10 ? common[random() % common.size()] : random() % 0xd800);
    std::string both = composed(one + " " + two);
    EXPECT_EQ(both, composed(one) + " " + composed(two));
    EXPECT_EQ(composed(both), both) << testing::PrintToString(both);
  }
}

// A sort that moves each mark on its own would take hours.
TEST(Nfc, ALongRowOfMarksIsSorted) {
  std::string text = "a", sorted;
  for (int i = 0; i < 300000; ++i) text += "\u0301\u0323";
  for (int i = 0; i < 299999; ++i) sorted += "\u0323";
  for (int i = 0; i < 300000; ++i) sorted += "\u0301";
  EXPECT_TRUE(composed(text) == "\u1ea1" + sorted);
}

}  // namespace
}  // namespace folio
