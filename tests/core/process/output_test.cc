#include "core/process/output.h"

#include <gtest/gtest.h>

#include "tests/core/process/pseudo_terminal.h"

namespace folio {
namespace {

TEST(Output, ATerminalTellsItsWidth) {
  for (int columns : {1, 33, 200})
    EXPECT_EQ(terminal_width(PseudoTerminal(columns).line()), columns);
}

TEST(Output, WhatIsNoTerminalOrDoesNotTellHas80Columns) {
  EXPECT_EQ(terminal_width(PseudoTerminal(0).line()), 80);
  int null = open("/dev/null", O_RDWR);
  EXPECT_EQ(terminal_width(null), 80);
  close(null);
  EXPECT_EQ(terminal_width(-1), 80);
}

TEST(Output, RemarksReachStandardErrorAndEndNothingWhereTheyCannot) {
  PseudoTerminal terminal(80);
  {
    StandardStream error(STDERR_FILENO, terminal.line());
    note("{} remarks\n", 2);
  }
  EXPECT_EQ(terminal.shown(), "2 remarks\n");
  int full = open("/dev/full", O_WRONLY), unwritable = open("/dev/null", O_RDONLY);
  for (int fd : {full, unwritable}) {
    StandardStream error(STDERR_FILENO, fd);
    EXPECT_NO_THROW(note("{} remarks\n", 2));
  }
  close(full);
  close(unwritable);
}

}  // namespace
}  // namespace folio
