#include "core/process/progress_line.h"

#include <gtest/gtest.h>

#include "tests/core/process/pseudo_terminal.h"

namespace folio {
namespace {

// What a terminal of `columns` shows of a transfer of 2 MB.
std::string shown(int columns, const std::string& what) {
  PseudoTerminal terminal(columns);
  {
    StandardStream error(STDERR_FILENO, terminal.line());
    ProgressLine line(what, 2000000, 0);
    for (int64_t done : {0, 900000, 2000000}) line.update(done);
  }
  return terminal.shown();
}

TEST(ProgressLine, IsOneLineOfATerminal) {
  EXPECT_EQ(
      shown(80, "reading"),
      "\rreading:   0 % of 2,000 kB\rreading:  45 % of 2,000 kB\rreading: 100 % of 2,000 kB\n");
}

TEST(ProgressLine, IsCutToTheTerminal) {
  for (int columns : {1, 5, 19, 20, 21, 30}) {
    std::string text = shown(columns, "d\u00e9j\u00e0 vu, a name that is longer than it should be");
    text.pop_back();
    int characters = 0;
    for (char c : text) {
      if (c == '\r') characters = 0;
      characters += c != '\r' && (c & '\xc0') != '\x80';
      EXPECT_LE(characters, std::max(columns - 1, 1)) << columns;
    }
    EXPECT_EQ(characters, std::max(columns - 1, 1));
  }
  // The name goes first: how far it is stays to be seen.
  EXPECT_EQ(shown(25, "d\u00e9j\u00e0 vu").find("\rd\u00e9j\u00e0 :   0 % of 2,000 kB\r"), 0u);
}

TEST(ProgressLine, ThatCannotBeWrittenEndsNothing) {
  int full = open("/dev/full", O_WRONLY);
  StandardStream error(STDERR_FILENO, full);
  EXPECT_NO_THROW({
    ProgressLine line("reading", 2000000, 0);
    line.update(1000000);
  });
  close(full);
}

}  // namespace
}  // namespace folio
