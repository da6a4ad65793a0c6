// `folio` itself: finding a command, help, and what goes where with which exit status.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>

namespace folio {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

struct Result {
  int status = -1;
  std::string text;
};

// Runs `folio ARGUMENTS` through the shell; the text is what came through `stream`.
Result run(const std::string& arguments, const std::string& stream) {
  std::string redirect = stream == "stdout" ? "2>/dev/null" : "2>&1 >/dev/null";
  std::string line = fmt::format("'{}' {} {}", FOLIO_PROGRAM, arguments, redirect);
  FILE* pipe = ::popen(line.c_str(), "r");
  Result result;
  std::array<char, 4096> buffer;
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    result.text.append(buffer.data(), n);
  result.status = WEXITSTATUS(::pclose(pipe));
  return result;
}

TEST(Program, HelpGoesToStandardOutput) {
  Result result = run("--help", "stdout");
  EXPECT_EQ(result.status, 0);
  for (std::string name :
       {"prepare", "download", "train", "eval", "sample", "bench train", "bench sample"})
    EXPECT_THAT(result.text, HasSubstr("\n  " + name + " "));
  EXPECT_THAT(run("--help", "stderr").text, IsEmpty());
}

TEST(Program, EveryCommandHasItsOwnHelp) {
  for (std::string name :
       {"prepare", "download", "train", "eval", "sample", "bench train", "bench sample"}) {
    Result result = run(name + " --help", "stdout");
    EXPECT_EQ(result.status, 0) << name;
    EXPECT_THAT(result.text, HasSubstr("--")) << name;
  }
  EXPECT_THAT(run("train --help", "stdout").text, HasSubstr("--gradient_accumulation_steps"));
  EXPECT_THAT(run("sample --help", "stdout").text, HasSubstr("--max_new_tokens"));
}

TEST(Program, VersionIsOneLine) {
  Result result = run("--version", "stdout");
  EXPECT_EQ(result.status, 0);
  EXPECT_THAT(result.text, testing::MatchesRegex("folio [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST(Program, AnUnknownCommandNamesTheNearest) {
  Result result = run("trian", "stderr");
  EXPECT_EQ(result.status, 2);
  EXPECT_EQ(result.text, "folio: unknown command \"trian\"; did you mean \"train\"?\n");
  EXPECT_EQ(run("bench trian", "stderr").text,
            "folio: unknown command \"bench trian\"; did you mean \"bench train\"?\n");
}

TEST(Program, WithNothingNearItListsTheCommands) {
  for (std::string name : {"", "bench", "xyzzy"}) {
    Result result = run(name, "stderr");
    EXPECT_EQ(result.status, 2) << name;
    EXPECT_THAT(result.text, HasSubstr("usage: folio COMMAND")) << name;
    EXPECT_THAT(result.text, HasSubstr("bench sample")) << name;
  }
}

TEST(Program, AnErrorIsOneLineOnStandardError) {
  Result result = run("train --n_layers=3", "stderr");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.text,
            "folio: command line: unknown key \"n_layers\"; did you mean \"n_layer\"?\n");
  EXPECT_THAT(run("sample --out_dir=/no/such", "stderr").text, StartsWith("folio: "));
}

}  // namespace
}  // namespace folio
