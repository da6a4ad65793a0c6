#pragma once
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/message.h"

namespace folio {

// What a command prints, and after it the message of the Error that ends it; a command that ends
// without one must return 0.
inline std::string output_of(int (*command)(int argc, char** argv), std::vector<std::string> args) {
  args.insert(args.begin(), "command");
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  int status = 0;
  testing::internal::CaptureStdout();
  std::string error;
  try {
    error = error_of([&] { status = command(int(argv.size()), argv.data()); });
  } catch (...) {  // Interrupted is no Error
    testing::internal::GetCapturedStdout();
    throw;
  }
  std::string output = testing::internal::GetCapturedStdout();
  EXPECT_EQ(status, 0) << output;
  return output + error;
}

}  // namespace folio
