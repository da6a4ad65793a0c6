#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/paths.h"

namespace folio {

// `folio train` by mpirun, on this machine; or by itself for 0 ranks.
class MpiRun {
 public:
  MpiRun(int ranks, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {folio_program(), "train"});
    if (ranks > 0)
      arguments.insert(arguments.begin(), {"mpirun", "--oversubscribe", "--bind-to", "none", "-n",
                                           std::to_string(ranks)});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    pid_ = fork();
    if (pid_ == 0) {
      const char* asan = getenv("ASAN_OPTIONS");  // Open MPI leaks
      setenv("ASAN_OPTIONS", (std::string(asan ? asan : "") + ":detect_leaks=0").c_str(), 1);
      setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
      setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      close(ends[0]);
      close(ends[1]);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    output_ = fdopen(ends[0], "r");
  }
  ~MpiRun() { finish(); }
  MpiRun(const MpiRun&) = delete;
  MpiRun& operator=(const MpiRun&) = delete;

  // Reads until a line has `text`; false if there was none.
  bool reach(const std::string& text) {
    char line[4096];
    while (output_ && std::fgets(line, sizeof line, output_)) {
      said_ += line;
      if (std::string_view(line).find(text) != std::string_view::npos) return true;
    }
    return false;
  }
  // Waits for the end -> the exit status; 128 + the signal that ended it.
  int finish() {
    if (pid_ < 0) return status_;
    reach("\n\n no line has this");
    std::fclose(std::exchange(output_, nullptr));
    int status = 0;
    waitpid(std::exchange(pid_, -1), &status, 0);
    status_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return status_;
  }
  const std::string& said() const { return said_; }
  pid_t pid() const { return pid_; }

  // The processes that mpirun started, by rank.
  std::vector<pid_t> rank_pids() const {
    std::vector<std::pair<int, pid_t>> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != name.npos) continue;
      std::ifstream status(entry.path() / "stat");
      std::string ignored;
      pid_t parent = 0;
      status >> ignored >> ignored >> ignored >> parent;
      if (parent != pid_) continue;
      std::ifstream environment(entry.path() / "environ");
      for (std::string variable; std::getline(environment, variable, '\0');)
        if (const std::string key = "OMPI_COMM_WORLD_RANK="; variable.starts_with(key))
          found.emplace_back(std::stoi(variable.substr(key.size())), std::stoi(name));
    }
    std::ranges::sort(found);
    std::vector<pid_t> pids;
    for (auto [rank, pid] : found) pids.push_back(pid);
    return pids;
  }

 private:
  pid_t pid_ = -1;
  FILE* output_ = nullptr;
  int status_ = 0;
  std::string said_;
};

}  // namespace folio
