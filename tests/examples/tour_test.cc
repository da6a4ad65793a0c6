// docs/tour.md is true: its commands print what it says, on a small text made here and a model of
// the same shape that has trained for a moment; the files and functions that it names are there;
// its code is the source's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <regex>

#include "tests/examples/tour_page.h"
#include "tests/paths.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

std::string page() { return read_text(source_path("docs/tour.md")); }

// The characters of tiny Shakespeare, in lines of speech.
std::string small_text() {
  const std::vector<std::vector<std::string>> words{
      {"First Citizen:\n", "ROMEO:\n", "All:\n", "MENENIUS:\n"},
      {"The people ", "Your honour ", "My sword ", "A citizen "},
      {"will not ", "must now ", "shall ", "cannot "},
      {"speak, ", "hear, ", "know us, ", "stay; "},
      {"good sir.\n\n", "and so farewell!\n\n", "for my part?\n\n", "away.\n\n"}};
  std::string text = "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\n\n";
  std::mt19937 random(1);
  for (int speech = 0; speech < 1200; ++speech)
    for (const auto& choices : words) text += choices[random() % choices.size()];
  return text;
}

// A folder in which the page's commands find what they name.
class Folder {
 public:
  Folder() : path_(fs::path(testing::TempDir()) / "folio-tour") {
    fs::remove_all(path_);
    fs::create_directories(path_);
    for (const char* name : {"configs", "docs"})
      fs::create_directory_symlink(source_path(name), path_ / name);
    fs::create_directory_symlink(fs::path(folio_program()).parent_path(), path_ / "build");
    std::ofstream(path_ / "small.txt") << small_text();
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  struct Result {
    int status;
    std::vector<std::string> lines;
  };
  Result run(const std::string& line) const {
    const std::string whole = "cd '" + path_.string() + "' && { " + line + "; } 2>&1 </dev/null";
    FILE* pipe = popen(whole.c_str(), "r");
    std::string output;
    std::array<char, 4096> part;
    while (size_t n = fread(part.data(), 1, part.size(), pipe)) output.append(part.data(), n);
    const int status = WEXITSTATUS(pclose(pipe));
    return {status, lines_of(output)};
  }

 private:
  fs::path path_;
};

std::string replaced(const std::string& text, const std::string& pattern, const std::string& by) {
  return std::regex_replace(text, std::regex(pattern), by);
}

// The same command on the small text, in seconds; empty where what it makes is there.
std::string made_small(const std::string& line) {
  if (line.starts_with("cmake ") || line.starts_with("scripts/install-packages")) return "";
  std::string small = replaced(line, "prepare shakespeare_char$",
                               "prepare --input=small.txt --name=shakespeare_char");
  small = replaced(small, "=200\\b", "=20");
  if (small.find("--out_dir=out ") != std::string::npos)
    small = replaced(small, "^build/folio train .*",
                     "$& --max_iters=120 --lr_decay_iters=120 --eval_interval=60");
  small = replaced(small, "^build/folio train .*", "$& --eval_iters=2");
  return replaced(small, "^build/tests/examples/(bigram|transformer) .*", "$& 20");
}
std::vector<std::string> of_small(std::vector<std::string> shown) {
  for (std::string& line : shown) {
    line = replaced(line, "\\b20([01])\\b", "2$1");
    line = replaced(line, "\\b200([01])\\b", "12$1");
  }
  return shown;
}

// The numbers in a line: "65 to 128  3.6  2.0" -> 65, 128, 3.6, 2.0
std::vector<double> numbers_in(const std::string& line) {
  const std::regex number(R"(\d+(\.\d+)?)");
  std::vector<double> numbers;
  for (std::sregex_iterator at(line.begin(), line.end(), number), end; at != end; ++at)
    numbers.push_back(std::stod(at->str()));
  return numbers;
}

// The answer of the second exercise: alike until the window is full, then worse and worse.
void expect_that_trimming_goes_wrong(const std::vector<std::string>& table) {
  ASSERT_EQ(table.size(), 5u);
  for (size_t row = 1; row < table.size(); ++row) {
    const std::vector<double> numbers = numbers_in(table[row]);
    ASSERT_EQ(numbers.size(), 4u) << table[row];
    if (row == 1)
      EXPECT_NEAR(numbers[2], numbers[3], 1e-4);
    else
      EXPECT_GT(numbers[2], numbers[3] + 0.05) << table[row];
  }
}

TEST(Tour, ItsCommandsPrintWhatItSays) {
  if (std::system("python3 --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "without python3";
  const Folder folder;
  int run = 0;
  for (const Command& command : commands_of(blocks_of(page()))) {
    const std::string line = made_small(command.line);
    if (line.empty()) continue;
    ++run;
    const Folder::Result result = folder.run(line);
    const std::string printed = testing::PrintToString(result.lines);
    ASSERT_EQ(result.status, 0) << line << "\n" << printed;
    if (command.mode == "exact") {
      EXPECT_THAT(result.lines, testing::ElementsAreArray(command.output)) << line;
    } else if (command.mode == "loose") {
      EXPECT_GE(result.lines.size(), 3u) << line;
    } else {
      EXPECT_TRUE(prints_alike(of_small(command.output), result.lines)) << line << "\n" << printed;
    }
    if (line.find("trim_cache") != std::string::npos) expect_that_trimming_goes_wrong(result.lines);
  }
  EXPECT_GE(run, 25);
}

TEST(Tour, FilesAndNamesThatItPointsToExist) {
  const std::vector<Place> places = places_of(page());
  int names = 0;
  for (const Place& place : places) {
    const fs::path path = fs::path(source_path("docs")) / place.path;
    ASSERT_TRUE(fs::exists(path)) << place.path;
    for (const std::string& name : place.names) {
      const std::string text = read_text(path);
      const std::regex word("(^|[^\\w])" + name + "($|[^\\w])");
      EXPECT_TRUE(std::regex_search(text, word)) << place.path << " has no " << name;
      ++names;
    }
  }
  EXPECT_GT(places.size(), 40u);
  EXPECT_GT(names, 50);
}

TEST(Tour, ItsCodeIsTheSources) {
  std::string sources;
  for (const Place& place : places_of(page()))
    if (place.path.ends_with(".cc") || place.path.ends_with(".h"))
      sources += read_text(source_path("docs/") + place.path);
  int quoted = 0;
  for (const Block& block : blocks_of(page())) {
    if (block.language != "cpp") continue;
    EXPECT_NE(sources.find(block.text()), std::string::npos) << block.text();
    ++quoted;
  }
  EXPECT_GE(quoted, 3);
}

TEST(Tour, ItsProgramsFitAScreenOrTwo) {
  int programs = 0;
  for (const auto& entry : fs::recursive_directory_iterator(source_path("tests/examples"))) {
    const std::string name = entry.path().filename();
    if (!name.ends_with(".cc") || name.ends_with("_test.cc") || name == "tour_page.cc") continue;
    EXPECT_LE(lines_of(read_text(entry.path())).size(), 80u) << name;
    ++programs;
  }
  EXPECT_GE(programs, 6);
}

// The third exercise's answer, applied to copies: two files, a function that is right, and an op.
TEST(Tour, TheNewOpTakesTwoFilesAndHasItsGradient) {
  const fs::path folder = fs::path(testing::TempDir()) / "folio-tour-op";
  fs::remove_all(folder);
  int diffs = 0;
  for (const Block& block : blocks_of(page())) {
    if (block.language != "diff") continue;
    ++diffs;
    const auto files = patched(block.lines, source_dir());
    ASSERT_THAT(files, testing::SizeIs(2));
    for (const auto& [path, text] : files) {
      fs::create_directories((folder / path).parent_path());
      std::ofstream(folder / path) << text;
    }
  }
  ASSERT_EQ(diffs, 1);
  std::ofstream(folder / "use.cc") << R"(
#include "autograd/ops.h"
folio::Tensor f(const folio::Tensor& x) { return softplus(x) + x; }
)";
  std::ofstream(folder / "check.cc") << R"(
#include "core/unary_ops.h"
#include <cstdlib>
using folio::Softplus;
bool near(double a, double b) { return std::abs(a - b) < 1e-8; }
int main() {
  for (double x : {-3.0, -0.5, 0.0, 0.7, 4.0}) {
    if (!near(Softplus::value(x), std::log(1 + std::exp(x)))) return 1;
    const double h = 1e-5, rise = Softplus::value(x + h) - Softplus::value(x - h);
    if (!near(Softplus::slope(x), rise / (2 * h))) return 2;
  }
  if (Softplus::value(1e4) != 1e4 || Softplus::value(-1e4) != 0) return 3;
  return folio::activation_named("softplus") == folio::unary<Softplus>() ? 0 : 4;
}
namespace folio { void fail_place(int) { std::abort(); } }
)";
  const std::string compile = compiler() + " -std=c++20 -I'" + folder.string() + "' -I'" +
                              source_dir() + "' '" + folder.string() + "/";
  EXPECT_EQ(std::system((compile + "use.cc' -fsyntax-only").c_str()), 0);
  ASSERT_EQ(std::system((compile + "check.cc' -o '" + folder.string() + "/check'").c_str()), 0);
  EXPECT_EQ(WEXITSTATUS(std::system(("'" + folder.string() + "/check'").c_str())), 0);
  fs::remove_all(folder);
}

TEST(TourPage, ComparesWhatIsTheSameOnEveryMachine) {
  auto alike = [](std::vector<std::string> shown, std::vector<std::string> printed) {
    return prints_alike(shown, printed);
  };
  EXPECT_TRUE(alike({"loss 1.25, at 7"}, {"loss  3.5, at 7 "}));
  EXPECT_FALSE(alike({"loss 1.25, at 7"}, {"loss 3.5, at 8"}));
  EXPECT_FALSE(alike({"loss 1.25"}, {"loss nan"}));
  EXPECT_FALSE(alike({"a"}, {"a", "b"}));
  EXPECT_FALSE(alike({"a", "b"}, {"a"}));
  EXPECT_TRUE(alike({"...", "b", "..."}, {"a", "a", "b"}));
  EXPECT_FALSE(alike({"...", "c"}, {"a", "b"}));
  EXPECT_TRUE(alike({"1.0e-06 off"}, {"9.0e-06 off"}));
  EXPECT_FALSE(alike({"1.0e-06 off"}, {"1.0e-03 off"}));
}

}  // namespace
}  // namespace folio
