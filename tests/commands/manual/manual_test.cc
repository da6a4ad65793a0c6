// `folio manual` and `folio completion bash`, held to what each command's --help lists.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>

#include "tests/paths.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

std::string output_of_shell(const std::string& line) {
  FILE* pipe = ::popen(line.c_str(), "r");
  std::string text;
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  ::pclose(pipe);
  return text;
}

std::string folio_says(const std::string& arguments) {
  return output_of_shell(fmt::format("'{}' {} 2>&1", folio_program(), arguments));
}

std::vector<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> all;
  for (std::sregex_iterator at(text.begin(), text.end(), regex), end; at != end; ++at)
    all.push_back((*at)[1]);
  return all;
}

std::vector<std::string> commands() {
  return matches(folio_says("--help"), "(?:^|\n)  ([a-z]+(?: [a-z]+)?)  ");
}

// The names that --help begins a line with.
std::vector<std::string> options_of(const std::string& command) {
  return matches(folio_says(command + " --help"), "\n  --([A-Za-z0-9_]+)=");
}

// A script with the completion, in a folder of its own, that is run there.
class Completion : public testing::Test {
 protected:
  Completion() : folder_(fs::temp_directory_path() / fmt::format("folio-bash-{}", ::getpid())) {
    fs::create_directories(folder_ / "runs" / "out-a");
    for (const char* name : {"small.toml", "notes.txt", "old.py", "with space.toml"})
      std::ofstream(folder_ / name) << "x";
    std::ofstream(folder_ / "completion") << folio_says("completion bash");
  }
  ~Completion() override { fs::remove_all(folder_); }

  std::string run(const std::string& script) {
    std::ofstream(folder_ / "script") << script;
    return output_of_shell(fmt::format("cd '{}' && bash --norc script 2>&1", folder_.string()));
  }
  // What Tab offers after `line`, as bash calls the completion.
  std::vector<std::string> after(const std::string& line,
                                 const std::string& breaks = R"( \t\n"><=;|&(:)") {
    const std::string text =
        run(fmt::format("source ./completion\nCOMP_WORDBREAKS=$'{}'\nCOMP_LINE='{}'\n"
                        "COMP_POINT=${{#COMP_LINE}}\n_folio\n"
                        "(( ${{#COMPREPLY[@]}} == 0 )) || printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
                        breaks, line));
    return matches(text, "([^\n]+)\n");
  }

  fs::path folder_;
};

TEST(Manual, HasEveryOptionOfEveryCommandUnderItsHeading) {
  const std::string page = folio_says("manual");
  ASSERT_GE(commands().size(), 12u);
  for (const std::string& command : commands()) {
    std::string heading = "\n.SH FOLIO " + command;
    std::ranges::transform(heading, heading.begin(), [](char c) { return char(std::toupper(c)); });
    const size_t begin = page.find(heading), end = page.find("\n.SH ", begin + 1);
    ASSERT_NE(begin, page.npos) << heading;
    const std::string section = page.substr(begin, end - begin);
    EXPECT_THAT(matches(section, "\n\\\\fB\\\\-\\\\-([A-Za-z0-9_]+)="),
                testing::ContainerEq(options_of(command)))
        << command;
    EXPECT_THAT(options_of(command), testing::Not(IsEmpty())) << command;
  }
  EXPECT_THAT(page, HasSubstr("One of: \\fIadamw\\fR, \\fImuon\\fR."));
}

// What roff would take for a request or an escape is text all the same.
TEST(Manual, IsWhatManAndMandocTakeWithoutAWarning) {
  const std::string page = folio_says("manual");
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);)
    EXPECT_FALSE(line.starts_with('\'') || line.empty()) << line;
  if (output_of_shell("command -v mandoc").empty()) GTEST_SKIP() << "there is no mandoc here";
  const std::string lint =
      output_of_shell(fmt::format("'{}' manual | mandoc -Tlint -Wwarning", folio_program()));
  EXPECT_EQ(lint, "");
}

TEST_F(Completion, OffersEveryOptionOfEveryCommand) {
  for (const std::string& command : commands()) {
    std::vector<std::string> wanted{"--help"}, offered;
    for (const std::string& name : options_of(command)) wanted.push_back("--" + name);
    for (const std::string& word : after("folio " + command + " --"))
      offered.push_back(word.substr(0, word.find('=')));
    EXPECT_THAT(offered, testing::UnorderedElementsAreArray(wanted)) << command;
  }
}

TEST_F(Completion, OffersCommands) {
  EXPECT_THAT(after("folio tr"), ElementsAre("train"));
  EXPECT_THAT(after("folio help sam"), ElementsAre("sample"));
  EXPECT_THAT(after("folio bench "), UnorderedElementsAre("train", "sample", "tokenizer"));
  EXPECT_THAT(after("folio help bench s"), ElementsAre("sample"));
  EXPECT_THAT(after("folio completion "), ElementsAre("bash"));
  EXPECT_THAT(after("folio --v"), ElementsAre("--version"));
  EXPECT_THAT(after("folio nonsense --"), ElementsAre("--help"));
}

TEST_F(Completion, OffersTheValuesOfAnOption) {
  EXPECT_THAT(after("folio train --plot="), UnorderedElementsAre("auto", "on", "off"));
  EXPECT_THAT(after("folio train --optimizer=m"), ElementsAre("muon"));
  EXPECT_THAT(after("folio train --optimizer m"), ElementsAre("muon"));
  EXPECT_THAT(after("folio train small.toml --bias=t"), ElementsAre("true"));
  EXPECT_THAT(after("folio sample --kv_cache_dtype="),
              UnorderedElementsAre("float32", "bfloat16", "int8"));
  EXPECT_THAT(after("folio bench sample --past_block=w"), ElementsAre("window"));
  EXPECT_THAT(after("folio train --learning_rate="), IsEmpty());
  // Where = does not end a word, the whole of it is replaced.
  EXPECT_THAT(after("folio train --plot=of", R"( \t\n)"), ElementsAre("--plot=off"));
}

TEST_F(Completion, OffersFilesAndFolders) {
  EXPECT_THAT(after("folio train "),
              UnorderedElementsAre("small.toml", "old.py", "with space.toml", "runs"));
  EXPECT_THAT(after("folio sample --out_dir=runs/"), ElementsAre("runs/out-a"));
  EXPECT_THAT(after("folio sample --start=FILE:no"), ElementsAre("notes.txt"));
  EXPECT_THAT(after("folio sample --start=FILE:no", R"( \t\n=)"), ElementsAre("FILE:notes.txt"));
  EXPECT_THAT(after("folio sample --start=F"), ElementsAre("FILE:"));
  EXPECT_THAT(after("folio compare runs/"), ElementsAre("runs/out-a"));
  EXPECT_THAT(after("folio compare runs/out-a -o no"), ElementsAre("notes.txt"));
}

// In a shell that somebody types into, which calls it with words of its own.
TEST_F(Completion, CompletesWhatIsTyped) {
  if (output_of_shell("command -v script").empty()) GTEST_SKIP() << "there is no `script` here";
  std::ofstream(folder_ / "rc") << "bind 'set bell-style none'\nsource ./completion\n"
                                   "folio() { printf '<%s>' \"$@\" >said; }\n";
  std::ofstream(folder_ / "typed") << "folio tra\t--opti\tmu\t --plot of\t sma\t --recom\t\nexit\n";
  run("script -qec 'bash --rcfile rc -i' /dev/null <typed >/dev/null");
  std::ifstream said(folder_ / "said");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(said), {}),
            "<train><--optimizer=muon><--plot><off><small.toml><--recompute>");
}

}  // namespace
}  // namespace folio
