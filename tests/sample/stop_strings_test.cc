#include "sample/stop_strings.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/check.h"

namespace folio {
namespace {

TEST(StopStrings, CutBeforeTheFirstThatCompletes) {
  StopStrings stop({"END", "\n\n"});
  EXPECT_EQ(stop.push("one E"), "one ");
  EXPECT_EQ(stop.push("N"), "");
  EXPECT_EQ(stop.push("Eat\n"), "ENEat");
  EXPECT_FALSE(stop.stopped());
  EXPECT_EQ(stop.push("\nmore END"), "");
  EXPECT_TRUE(stop.stopped());
  EXPECT_EQ(stop.push("more"), "");
  EXPECT_EQ(stop.finish(), "");
}

TEST(StopStrings, WhatNeverCompletesIsPrintedInTheEnd) {
  StopStrings stop({"END"});
  EXPECT_EQ(stop.push("the EN"), "the ");
  EXPECT_EQ(stop.finish(), "EN");
  EXPECT_FALSE(stop.stopped());
}

TEST(StopStrings, OverlappingBeginningsAreRemembered) {
  StopStrings stop({"aab"});
  EXPECT_EQ(stop.push("aaaa"), "aa");
  EXPECT_EQ(stop.push("b"), "");
  EXPECT_TRUE(stop.stopped());
}

TEST(StopStrings, OfThoseThatCompleteTogetherTheLongestCounts) {
  StopStrings stop({"b", "ab", "xab"});
  EXPECT_EQ(stop.push("xa"), "");
  EXPECT_EQ(stop.push("b"), "");
  EXPECT_TRUE(stop.stopped());
}

TEST(StopStrings, WithoutAnyTextPasses) {
  StopStrings none;
  EXPECT_EQ(none.push("as it is"), "as it is");
  EXPECT_THROW(StopStrings({"a", ""}), Error);
}

// Against a search of the whole text: the shortest beginning that ends with a stop string.
TEST(StopStrings, PiecesGiveWhatTheWholeTextGives) {
  std::mt19937 random(1);
  auto letters = [&](size_t n) {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += "ab"[random() % 2];
    return text;
  };
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> strings{letters(1 + random() % 8), letters(3 + random() % 6)};
    std::string text = letters(40), expected = text;
    bool stops = false;
    for (size_t end = 1; end <= text.size() && !stops; ++end) {
      for (const std::string& s : strings) {
        if (!std::string_view(text).substr(0, end).ends_with(s)) continue;
        expected = stops ? std::min(expected, text.substr(0, end - s.size()))
                         : text.substr(0, end - s.size());
        stops = true;
      }
    }
    StopStrings stop(strings);
    std::string got;
    for (size_t at = 0; at < text.size();) {
      size_t n = 1 + random() % 5;
      got += stop.push(text.substr(at, n));
      ASSERT_TRUE(expected.starts_with(got)) << "printed what a stop string claims";
      at += n;
    }
    EXPECT_EQ(got + stop.finish(), expected);
    EXPECT_EQ(stop.stopped(), stops);
  }
}

}  // namespace
}  // namespace folio
