// The options of the test programs themselves (tests/main.cc).
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>

namespace folio {
namespace {

void run_this_program(const char* argument) {
  if (!std::freopen("/dev/null", "w", stdout)) return;
  execl("/proc/self/exe", "test", argument, "--gtest_list_tests", nullptr);
}

TEST(OptionsDeathTest, WhatIsNotKnownEndsATestProgram) {
  for (const char* argument : {"--devise=cpu", "--device", "device=cpu", "--gtest_fliter=A.*"})
    EXPECT_EXIT(run_this_program(argument), testing::ExitedWithCode(2),
                std::string(argument) + " is no option");
  for (const char* argument : {"--device=", "--device=gpu"})
    EXPECT_EXIT(run_this_program(argument), testing::ExitedWithCode(2), "is not available");
  EXPECT_EXIT(run_this_program("--device=emulated-randm"), testing::ExitedWithCode(2), "randm");
  EXPECT_EXIT(run_this_program("--device=guarded"), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace folio
