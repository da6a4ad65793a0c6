#include "commands/train/text_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <sstream>

#include "data/text/utf8.h"

namespace folio {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

std::vector<std::u32string> lines_of(const std::string& text) {
  std::vector<std::u32string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    std::u32string& characters = lines.emplace_back();
    for_each_code_point(line, "plot", [&](char32_t c, size_t) { characters += c; });
  }
  return lines;
}

// Of each column right of the axis, the row of the upmost mark; -1: none.
std::vector<int> tops(const std::vector<std::u32string>& lines, int height, char32_t axis) {
  std::vector<int> tops;
  const size_t begin = lines[0].find(axis) + 1, end = lines[size_t(height)].size();
  for (size_t column = begin; column < end; ++column) {
    tops.push_back(-1);
    for (int row = height - 1; row >= 0; --row)
      if (column < lines[size_t(row)].size() && lines[size_t(row)][column] != U' ')
        tops.back() = row;
  }
  return tops;
}

const PlotCurve falling{"val", {{0, 4}, {10, 3}, {20, 2}}};

TEST(TextPlot, AFallingCurveFallsFromCornerToCorner) {
  for (bool unicode : {true, false}) {
    const PlotStyle style{.width = 2 + 4 + 20 + 12, .height = 6, .unicode = unicode};
    const std::vector<std::u32string> lines = lines_of(text_plot({falling}, "x", style));
    ASSERT_THAT(lines, SizeIs(8));
    const std::vector<int> rows = tops(lines, 6, unicode ? U'│' : U'|');
    EXPECT_GE(rows.size(), 18u);
    EXPECT_EQ(rows.front(), 0);
    EXPECT_EQ(rows.back(), 5);
    for (size_t i = 1; i < rows.size(); ++i) {
      EXPECT_GE(rows[i], rows[i - 1]) << "column " << i;
      EXPECT_LE(rows[i], rows[i - 1] + 1) << "without gaps, column " << i;
    }
    for (const std::u32string& line : lines) EXPECT_LE(line.size(), size_t(style.width));
  }
}

TEST(TextPlot, SaysTheAxesEndsAndEachCurvesLastValue) {
  const std::string plot =
      text_plot({falling, {"train", {{0, 4}, {20, 1.25}}}}, "loss by iteration",
                {.width = 60, .height = 8, .unicode = false});
  EXPECT_THAT(plot, StartsWith("4.00 |"));
  EXPECT_THAT(plot, HasSubstr("\n1.25 |"));
  EXPECT_THAT(plot, HasSubstr("* val 2.0000"));
  EXPECT_THAT(plot, HasSubstr("o train 1.2500"));
  EXPECT_THAT(plot, HasSubstr("loss by iteration"));
  for (char c : plot) EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7f)) << int(c);
}

TEST(TextPlot, NamesOfCurvesThatEndTogetherDoNotHideEachOther) {
  const std::string plot = text_plot({falling, {"b", falling.points}, {"c", falling.points}}, "x",
                                     {.width = 60, .height = 4, .unicode = true});
  for (const char* name : {"val 2.0000", "b 2.0000", "c 2.0000"})
    EXPECT_THAT(plot, HasSubstr(name));
}

TEST(TextPlot, ColoursOnlyWhereTheyAreAskedFor) {
  EXPECT_EQ(text_plot({falling}, "x", {}).find('\033'), std::string::npos);
  EXPECT_NE(text_plot({falling}, "x", {.color = true}).find('\033'), std::string::npos);
}

TEST(TextPlot, WhatIsNotFiniteOrTooLittleIsLeftOut) {
  const double nan = std::numeric_limits<double>::quiet_NaN(),
               inf = std::numeric_limits<double>::infinity();
  EXPECT_EQ(text_plot({}, "x", {}), "");
  EXPECT_EQ(text_plot({{"a", {{0, 1}}}}, "x", {}), "");
  EXPECT_EQ(text_plot({{"a", {{0, nan}, {1, inf}, {2, 1}}}}, "x", {}), "");
  EXPECT_THAT(text_plot({{"a", {{0, 2}, {1, nan}, {2, 1}, {3, -inf}}}}, "x", {}),
              HasSubstr("2.00"));
  EXPECT_THAT(text_plot({{"flat", {{0, 1}, {1, 1}}}}, "x", {.width = 5}), HasSubstr("flat"));
}

TEST(TextPlot, FollowsTheLocaleOfTheEnvironment) {
  for (auto [locale, unicode] : {std::pair{"C.UTF-8", true}, {"C", false}, {"none such", false}}) {
    setenv("LC_ALL", locale, 1);
    EXPECT_EQ(style_of_output().unicode, unicode) << locale;
  }
  unsetenv("LC_ALL");
}

}  // namespace
}  // namespace folio
