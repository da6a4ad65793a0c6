#include "data/text/visible.h"

#include <gtest/gtest.h>

namespace folio {
namespace {

TEST(Visible, NothingSteersATerminal) {
  EXPECT_EQ(visible("\x1b[2J\x07 \x7f \r"), "\\x1b[2J\\x07 \\x7f \\x0d");
  EXPECT_EQ(visible(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(visible("\u009b31m"), "\\x9b31m") << "a control sequence in one character";
  EXPECT_EQ(visible("\u202eabc\u2066\u200f\u2028"), "\\u202eabc\\u2066\\u200f\\u2028");
  EXPECT_EQ(visible("a\xff\xfe\xc3"), "a\uFFFD\uFFFD\uFFFD");
}

TEST(Visible, TextStays) {
  EXPECT_EQ(visible("To be,\n\tor not: Ünïcödé שלום 🎭"), "To be,\n\tor not: Ünïcödé שלום 🎭");
  EXPECT_EQ(visible("a\n\tb", true), "a\\x0a\\x09b");
  EXPECT_EQ(visible(""), "");
}

}  // namespace
}  // namespace folio
