#include "tests/examples/cluster/stand_ins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>

#include "tests/examples/tour_page.h"
#include "tests/paths.h"

namespace folio {

namespace fs = std::filesystem;

Result run_line(const std::string& line) {
  FILE* pipe = popen(("{ " + line + "\n} 2>&1 </dev/null").c_str(), "r");
  std::string output;
  std::array<char, 4096> part;
  while (size_t n = fread(part.data(), 1, part.size(), pipe)) output.append(part.data(), n);
  return {WEXITSTATUS(pclose(pipe)), output};
}

// Tests run side by side.
StandIns::StandIns()
    : path_(fs::path(testing::TempDir()) / ("folio-cluster-" + std::to_string(getpid()))) {
  fs::remove_all(path_);
  fs::create_directories(path_ / "bin");
}

StandIns::~StandIns() { fs::remove_all(path_); }

void StandIns::program(const std::string& name, const std::string& rest) const {
  const std::string file = path("bin/" + name);
  std::ofstream(file) << "#!/usr/bin/env bash\nprintf '%s\\n' \"$@\" >'" << path(name)
                      << ".called'\n"
                      << rest << "\n";
  fs::permissions(file, fs::perms::owner_all);
}

std::vector<std::string> StandIns::called(const std::string& name) const {
  const std::string file = path(name + ".called");
  if (!fs::exists(file)) return {};
  const std::vector<std::string> arguments = lines_of(read_text(file));
  fs::remove(file);
  return arguments;
}

Result StandIns::run(const std::string& line) const {
  return run_line("cd '" + path_.string() + "'; export PATH=\"$PWD/bin:$PATH\"; " + line);
}

void StandIns::checkpoint(const std::string& name) const {
  fs::create_directories((path_ / name).parent_path());
  std::ofstream(path_ / name) << "a checkpoint";
}

void expect_train_options(const std::vector<std::string>& words) {
  static const std::string help = run_line("'" + folio_program() + "' train --help").output;
  auto word = std::find(words.begin(), words.end(), "train");
  ASSERT_NE(word, words.end());
  int options = 0;
  for (; word != words.end(); ++word) {
    if (!word->starts_with("--")) continue;
    EXPECT_THAT(help, testing::HasSubstr("\n  " + word->substr(0, word->find('=')) + "=")) << *word;
    ++options;
  }
  EXPECT_GE(options, 3);
}

}  // namespace folio
