#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace folio {

struct Result {
  int status;
  std::string output;  // both streams
};
Result run_line(const std::string& line);  // through the shell

// A folder whose bin/ has programs that stand in for a cluster's; `run` finds them first.
class StandIns {
 public:
  StandIns();
  ~StandIns();
  StandIns(const StandIns&) = delete;
  StandIns& operator=(const StandIns&) = delete;

  std::string path(const std::string& name) const { return (path_ / name).string(); }
  // A program that notes its arguments, then runs `rest`.
  void program(const std::string& name, const std::string& rest = "") const;
  // What it was called with last, since this was asked last; nothing if it was not.
  std::vector<std::string> called(const std::string& name) const;
  Result run(const std::string& line) const;  // in the folder
  void checkpoint(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

// Expects that of the words of a command those after "train" that begin with "--" are options of
// folio train, and at least three.
void expect_train_options(const std::vector<std::string>& words);

}  // namespace folio
