#include "tests/ranks/running_job.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace folio {
namespace {

using Clock = std::chrono::steady_clock;

// Far more than any of these jobs takes: so that one that hangs fails its test.
constexpr std::chrono::seconds limit{90};

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

// Whether it is there and not only remembered for its parent.
bool runs(pid_t process) {
  std::ifstream in("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(in, text);
  size_t after = text.rfind(") ");
  return after != text.npos && text[after + 2] != 'Z';
}

std::map<int, pid_t> processes_in(const std::string& output) {
  std::map<int, pid_t> found;
  std::istringstream lines(output);
  for (std::string line; std::getline(lines, line);) {
    int rank = 0;
    pid_t process = 0;
    if (std::sscanf(line.c_str(), "rank %d %d", &rank, &process) == 2) found[rank] = process;
  }
  return found;
}

}  // namespace

RunningJob::RunningJob(int ranks, const std::vector<std::string>& options) : ranks_(ranks) {
  std::vector<std::string> words = {
      "mpirun",
      "-q",
      "--allow-run-as-root",
      "--oversubscribe",
      "--bind-to",
      "none",
      "-n",
      std::to_string(ranks),
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "ranks_job"};
  words.insert(words.end(), options.begin(), options.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  mpirun_ = fork();
  if (mpirun_ == 0) {
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  close(out[1]);
  close(err[1]);
  streams_ = {out[0], err[0]};
}

RunningJob::~RunningJob() {
  for (int stream : streams_)
    if (stream >= 0) close(stream);
  if (code_ >= 0) return;
  kill(mpirun_, SIGKILL);
  waitpid(mpirun_, nullptr, 0);
}

void RunningJob::read_until(const std::function<bool()>& enough) {
  Clock::time_point give_up = Clock::now() + limit;
  while (!enough() && (streams_[0] >= 0 || streams_[1] >= 0) && Clock::now() < give_up) {
    std::array<pollfd, 2> waits = {{{streams_[0], POLLIN, 0}, {streams_[1], POLLIN, 0}}};
    poll(waits.data(), waits.size(), 1000);
    for (size_t i = 0; i < 2; ++i) {
      if (waits[i].revents == 0) continue;
      std::array<char, 4096> bytes;
      ssize_t got = read(streams_[i], bytes.data(), bytes.size());
      if (got > 0) {
        texts_[i].append(bytes.data(), size_t(got));
      } else {
        close(streams_[i]);
        streams_[i] = -1;
      }
    }
  }
}

void RunningJob::begin() {
  read_until([&] {
    return texts_[0].find("begun\n") != std::string::npos &&
           processes_in(texts_[0]).size() == size_t(ranks_);
  });
}

pid_t RunningJob::process(int rank) { return processes_in(texts_[0])[rank]; }

int RunningJob::end() {
  read_until([] { return false; });
  int status = 0;
  // Its streams are closed: it is at its end, unless it hangs there.
  for (Clock::time_point give_up = Clock::now() + limit; code_ < 0 && Clock::now() < give_up;) {
    if (waitpid(mpirun_, &status, WNOHANG) == mpirun_) code_ = code_of(status);
    poll(nullptr, 0, 10);
  }
  return code_;
}

std::vector<std::string> RunningJob::messages() const {
  std::vector<std::string> found;
  std::istringstream lines(texts_[1]);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("folio: ")) found.push_back(line);
  return found;
}

std::vector<pid_t> RunningJob::left() {
  for (Clock::time_point give_up = Clock::now() + limit;; poll(nullptr, 0, 10)) {
    std::vector<pid_t> running;
    for (auto [rank, process] : processes_in(texts_[0]))
      if (runs(process)) running.push_back(process);
    if (running.empty() || Clock::now() > give_up) return running;
  }
}

}  // namespace folio
