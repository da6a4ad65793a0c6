#include "data/tokenizer/pretokenizers/pretokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "data/text/utf8.h"
#include "data/tokenizer/pretokenizers/known_patterns.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Parts = std::vector<std::string>;

const ByteLevelStep whole{.use_regex = false};

Parts parts(const PretokenizerSteps& steps, std::string_view text) {
  Parts found;
  Pretokenizer(steps, "a test").each(text, [&](std::string_view around, size_t at, size_t bytes) {
    found.emplace_back(around.substr(at, bytes));
  });
  return found;
}

Parts split(std::string_view text, SplitStep step) { return parts({step, whole}, text); }

// The example of Hugging Face's documentation of the behaviours.
TEST(Pretokenizer, SplitsByEachBehaviour) {
  const std::string text = "the-final--countdown";
  auto with = [&](SplitBehavior behavior) {
    return split(text, {.pattern = "-", .is_regex = false, .behavior = behavior});
  };
  EXPECT_THAT(with(SplitBehavior::removed), ElementsAre("the", "final", "countdown"));
  EXPECT_THAT(with(SplitBehavior::isolated),
              ElementsAre("the", "-", "final", "-", "-", "countdown"));
  EXPECT_THAT(with(SplitBehavior::merged_with_previous),
              ElementsAre("the-", "final-", "-", "countdown"));
  EXPECT_THAT(with(SplitBehavior::merged_with_next),
              ElementsAre("the", "-final", "-", "-countdown"));
  EXPECT_THAT(with(SplitBehavior::contiguous), ElementsAre("the", "-", "final", "--", "countdown"));
}

TEST(Pretokenizer, InvertedMatchesAreWhatLiesBetween) {
  SplitStep words{.pattern = "[a-z]+", .behavior = SplitBehavior::removed, .invert = true};
  EXPECT_THAT(split("1one2 two3", words), ElementsAre("one", "two"));
  words.invert = false;
  EXPECT_THAT(split("1one2 two3", words), ElementsAre("1", "2 ", "3"));
}

TEST(Pretokenizer, APatternSeesItsPartAlone) {
  SplitStep letter{.pattern = "b"}, after{.pattern = "(?<=b)c|^d"};
  EXPECT_THAT(parts({letter, after, whole}, "abcbd"), ElementsAre("a", "b", "c", "b", "d"));
  EXPECT_THAT(parts({after, whole}, "abcbd"), ElementsAre("ab", "c", "bd"));
}

// Characters of Unicode 15 and 16, whatever Unicode the installed Oniguruma knows.
TEST(Pretokenizer, PatternsKnowTheCategoriesOfNewerCharacters) {
  for (const char* pattern :
       {"\\p{Lu}\U00010d50", "\\p{Ll}\U00010d70", "\\p{Lo}\U00013460", "\\p{Han}\U00031350",
        "\\p{M}\u0897", "\\p{Nd}\U00011f50", "\\p{P}\u1b4e", "\\p{Emoji}\U0001fae8", "\\w\ua7cb"}) {
    std::string all = pattern, character = all.substr(all.find_first_of("}w") + 1);
    SplitStep step{.pattern = all.substr(0, all.size() - character.size())};
    EXPECT_THAT(split("-" + character + "-", step), ElementsAre("-", character, "-")) << all;
  }
}

TEST(Pretokenizer, CutsDigits) {
  EXPECT_THAT(parts({DigitsStep{true}, whole}, "a12\u0663 \u00bdb"),
              ElementsAre("a", "1", "2", "\u0663", " ", "\u00bd", "b"));
  EXPECT_THAT(parts({DigitsStep{false}, whole}, "a12\u0663 \u00bdb"),
              ElementsAre("a", "12\u0663", " ", "\u00bd", "b"));
  EXPECT_THAT(parts({DigitsStep{true}, ByteLevelStep{}}, "in 2024 on"),
              ElementsAre("in", " ", "2", "0", "2", "4", " on"));
}

TEST(Pretokenizer, PutsASpaceBeforeEachPartThatHasNone) {
  EXPECT_THAT(parts({ByteLevelStep{.add_prefix_space = true}}, "one two"),
              ElementsAre(" one", " two"));
  EXPECT_THAT(parts({ByteLevelStep{.add_prefix_space = true}}, " one"), ElementsAre(" one"));
  EXPECT_THAT(parts({DigitsStep{false}, ByteLevelStep{.add_prefix_space = true}}, "a1 b"),
              ElementsAre(" a", " 1", " b"));
}

// A known pattern that an engine matches instead, as the brackets around it make it unknown.
TEST(Pretokenizer, KnownPatternsAreCutAsTheEngineDoes) {
  std::mt19937 random(8);
  const std::u32string common =
      U"    '''sdtmlverSDTxyz0192.,-\n\r\t\u00a0\u017f\u00e9\u4f60\u0663\u0301\U0001F600";
  for (std::string_view pattern : {gpt2_pattern, llama3_pattern, qwen_pattern}) {
    Pretokenizer known({SplitStep{.pattern = std::string(pattern)}, whole}, "a test");
    Pretokenizer engine({SplitStep{.pattern = fmt::format("(?:{})", pattern)}, whole}, "a test");
    for (int trial = 0; trial < 2000; ++trial) {
      std::string text;
      for (size_t n = 1 + random() % 30; n > 0; --n)
        append_utf8(text, common[random() % common.size()]);
      Parts a, b;
      auto into = [](Parts& parts) {
        return [&parts](std::string_view around, size_t at, size_t bytes) {
          parts.emplace_back(around.substr(at, bytes));
        };
      };
      known.each(text, into(a));
      engine.each(text, into(b));
      EXPECT_EQ(a, b) << testing::PrintToString(text);
    }
  }
}

TEST(Pretokenizer, SafeCutsChangeNothing) {
  const SplitStep llama3{.pattern = std::string(llama3_pattern)};
  const PretokenizerSteps all[] = {{ByteLevelStep{}},
                                   {llama3, whole},
                                   {DigitsStep{true}, ByteLevelStep{}},
                                   {DigitsStep{false}, llama3, ByteLevelStep{}},
                                   {ByteLevelStep{.add_prefix_space = true}}};
  std::mt19937 random(9);
  const std::u32string common = U"    '\r\n\tsab12.!\u00a0\u3000\u4f60\u3002";
  for (const PretokenizerSteps& steps : all) {
    Pretokenizer pretokenizer(steps, "a test");
    int found = 0;
    for (int trial = 0; trial < 5000; ++trial) {
      std::string text, more;
      for (size_t n = random() % 12; n > 0; --n)
        append_utf8(text, common[random() % common.size()]);
      for (size_t n = random() % 4; n > 0; --n) append_utf8(more, common[random() % common.size()]);
      size_t cut = pretokenizer.last_safe_cut(text);
      if (cut == 0) continue;
      ++found;
      text += more;
      Parts both = parts(steps, text.substr(0, cut));
      for (std::string& part : parts(steps, text.substr(cut))) both.push_back(part);
      EXPECT_EQ(both, parts(steps, text)) << testing::PrintToString(text) << " at " << cut;
    }
    EXPECT_GT(found, 1000);
  }
}

// Nobody knows where an engine's pattern, or none, would cut.
TEST(Pretokenizer, WithoutAKnownPatternNoCutIsSafe) {
  for (const PretokenizerSteps& steps : {PretokenizerSteps{whole},
                                         {SplitStep{.pattern = "a b"}, ByteLevelStep{}},
                                         {DigitsStep{true}, whole}})
    EXPECT_EQ(Pretokenizer(steps, "a test").last_safe_cut("one two three"), 0u);
}

TEST(Pretokenizer, WhatIsNoPatternIsNamed) {
  for (const char* pattern : {"(", "[a", "a{2,1}**(", "\\p{Nothing}"})
    EXPECT_THAT(error_of([&] {
                  Pretokenizer({SplitStep{.pattern = pattern}, whole}, "a file");
                }),
                AllOf(HasSubstr("a file: \""), HasSubstr(pattern), HasSubstr("is no pattern")));
  EXPECT_THAT(error_of([&] {
                Pretokenizer({SplitStep{.pattern = std::string(10001, 'a')}, whole}, "a file");
              }),
              HasSubstr("a pattern of 10001 bytes"));
}

// Backtracking would try every way to share the letters out.
TEST(Pretokenizer, AHostilePatternIsAnErrorAndNoWait) {
  for (const char* pattern : {"(a+)+$b", "(a|aa)+c", "(?:[a-z]|a)*[^a-z]"}) {
    std::string text(3000, 'a');
    EXPECT_THAT(error_of([&] { split(text, {.pattern = pattern}); }),
                AllOf(HasSubstr("cannot cut this text"), HasSubstr("limit")))
        << pattern;
  }
}

// As many steps as the text is long, for every match: fair for the first, not for all of them.
TEST(Pretokenizer, AllMatchesTogetherTakeTimeInProportion) {
  std::string text(20000, 'a');
  EXPECT_THAT(error_of([&] { split(text, {.pattern = "a(?=[ab]*[bc])|a"}); }),
              HasSubstr("cannot cut this text"));
  text.assign(200000, ' ');
  text += 'x';
  EXPECT_EQ(split(text, {.pattern = " +(?!x)|x"}).size(), 3u);
}

}  // namespace
}  // namespace folio
