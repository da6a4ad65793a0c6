#include "tests/on_ranks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iterator>

#include "core/check.h"

extern char** environ;

namespace folio {
namespace {

constexpr const char* marker = "FOLIO_TEST_RANK";  // holds the test's name

std::string test_name() {
  const testing::TestInfo* info = testing::UnitTest::GetInstance()->current_test_info();
  return fmt::format("{}.{}", info->test_suite_name(), info->name());
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (std::string& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

std::vector<std::string> arguments_of_rank() {
  std::ifstream in("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(in, argument, '\0');)
    if (arguments.empty() || argument.starts_with("--device=")) arguments.push_back(argument);
  arguments.push_back("--gtest_filter=" + test_name());
  arguments.push_back("--gtest_brief=0");
  return arguments;
}

// This process's, but for what `set` says.
std::vector<std::string> environment_of_rank(const std::vector<std::string>& set) {
  std::vector<std::string> all;
  for (char** at = environ; *at; ++at) {
    const std::string name = std::string(*at).substr(0, std::string(*at).find('=') + 1);
    bool taken = false;
    for (const char* other : {"GTEST_OUTPUT=", "GTEST_TOTAL_SHARDS=", "GTEST_SHARD_INDEX=",
                              "TORCHELASTIC_USE_AGENT_STORE="})
      taken = taken || name == other;
    for (const std::string& one : set) taken = taken || one.starts_with(name);
    if (!taken) all.emplace_back(*at);
  }
  all.insert(all.end(), set.begin(), set.end());
  return all;
}

pid_t start(std::vector<std::string> arguments, std::vector<std::string> environment, int output) {
  const std::vector<char*> argv = pointers(arguments), envp = pointers(environment);
  const pid_t parent = getpid(), child = fork();
  check(child >= 0, "fork failed");
  if (child > 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execve("/proc/self/exe", argv.data(), envp.data());
  _exit(127);
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  lseek(fd, 0, SEEK_SET);
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof buffer)) > 0;) text.append(buffer, size_t(n));
  return text;
}

}  // namespace

bool RankEnd::ok() const {
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
         output.find("[  PASSED  ] 1 test.") != std::string::npos;
}

std::optional<Rendezvous::Place> this_rank() {
  const char* name = std::getenv(marker);
  if (!name || name != test_name()) return std::nullopt;
  return Rendezvous::place_from_environment();
}

std::vector<RankEnd> run_ranks(int size, const std::vector<std::string>& set) {
  const ReservedPort port;
  std::vector<pid_t> ranks;
  std::vector<std::FILE*> outputs;
  for (int rank = 0; rank < size; ++rank) {
    std::vector<std::string> variables = {
        fmt::format("{}={}", marker, test_name()), fmt::format("RANK={}", rank),
        fmt::format("WORLD_SIZE={}", size), "MASTER_ADDR=127.0.0.1",
        fmt::format("MASTER_PORT={}", port.number())};
    variables.insert(variables.end(), set.begin(), set.end());
    outputs.push_back(std::tmpfile());
    ranks.push_back(
        start(arguments_of_rank(), environment_of_rank(variables), fileno(outputs.back())));
  }
  std::vector<RankEnd> ends(ranks.size());
  for (size_t rank = 0; rank < ends.size(); ++rank) {
    waitpid(ranks[rank], &ends[rank].status, 0);
    ends[rank].output = read_all(fileno(outputs[rank]));
    std::fclose(outputs[rank]);
  }
  return ends;
}

void on_ranks(std::initializer_list<int> sizes,
              const std::function<void(const Rendezvous::Place&)>& body) {
  if (const auto place = this_rank()) {
    body(*place);
    return;
  }
  for (int size : sizes) {
    const std::vector<RankEnd> ends = run_ranks(size);
    for (int rank = 0; rank < size; ++rank)
      EXPECT_TRUE(ends[size_t(rank)].ok())
          << "rank " << rank << " of " << size << " (status " << ends[size_t(rank)].status << "):\n"
          << ends[size_t(rank)].output;
  }
}

// With SO_REUSEADDR one more socket may have the port, as long as this one does not listen.
ReservedPort::ReservedPort() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const int yes = 1;
  setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  check(bind(fd_, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
            getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) == 0,
        "no port for a test");
  number_ = ntohs(address.sin_port);
}

ReservedPort::~ReservedPort() { close(fd_); }

}  // namespace folio
