// Standard output and standard error are written in one place, core/process/output.cc, which checks
// that what goes to the former was written; include_rules.h says who may call it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>

#include "include_rules.h"
#include "tests/paths.h"

namespace folio {
namespace {

// Uses of standard output and error in a source, but for questions about them. A FILE* of one's
// own, a log for instance, is another matter.
std::vector<std::string> writes(const std::string& source) {
  static const std::regex write(
      R"(\bstd(out|err)\b)"
      R"(|(\w*\s*\()?\bSTD(OUT|ERR)_FILENO\b)"
      R"(|\bstd::c(out|err|log)\b|\bperror\s*\(|\bv?printf\s*\(|\bputs\s*\(|\bputchar\s*\()"
      R"(|\bfmt::(v?print|println)\s*\(\s*["f])");  // a text or fmt::...: no FILE* before it
  std::vector<std::string> found;
  for (std::sregex_iterator at(source.begin(), source.end(), write), end; at != end; ++at) {
    std::string match = at->str();
    if (match.starts_with("isatty(") || match.starts_with("terminal_width(")) continue;
    auto line = std::count(source.begin(), source.begin() + at->position(), '\n') + 1;
    found.push_back(fmt::format("line {}: {}", line, match));
  }
  return found;
}

TEST(OutputRules, OneSourceWritesThem) {
  size_t sources = 0;
  for (const std::filesystem::path& file : program_sources(source_dir())) {
    // The second gives libedit the stream on which it shows what is typed.
    if (file == "core/process/output.cc" || file == "commands/sample/line_editor.cc") continue;
    std::ifstream in(std::filesystem::path(source_dir()) / file);
    EXPECT_THAT(writes({std::istreambuf_iterator<char>(in), {}}), testing::IsEmpty()) << file;
    ++sources;
  }
  EXPECT_GT(sources, 50u);
}

TEST(OutputRules, EveryWayToWriteThemIsSeen) {
  for (std::string source :
       {"printf(\"x\");", "std::printf (text);", "puts(text);", "std::cout << 1;", "putchar('a');",
        "fmt::print(\"{}\", 1);", "fmt::print(\n    \"{}\");", "fmt::print(stdout, \"x\");",
        "std::fwrite(t, 1, n, stdout);", "std::fflush(stdout);", "fmt::print(fmt::runtime(t));",
        "write(STDOUT_FILENO, t, n);", "dup2(fd, STDOUT_FILENO);", "fmt::print(stderr, \"x\");",
        "std::fputs(\"x\", stderr);", "std::cerr << 1;", "perror(\"x\");",
        "write(STDERR_FILENO, t, n);"})
    EXPECT_THAT(writes("int a;\n" + source), testing::SizeIs(1)) << source;
  for (std::string source :
       {"fmt::print(log_, \"{}\", 1);", "std::fprintf(file, \"x\");", "snprintf(b, n, \"x\");",
        "isatty(STDOUT_FILENO) == 1", "isatty(STDERR_FILENO) == 1", "terminal_width(STDOUT_FILENO)",
        "say(\"{}\", 1);", "print(text);", "inputs(x);"})
    EXPECT_THAT(writes(source), testing::IsEmpty()) << source;
}

}  // namespace
}  // namespace folio
