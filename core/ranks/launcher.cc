#include "core/ranks/launcher.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

namespace folio {
namespace {

struct Process {
  std::string name;
  pid_t parent = 0;
};

Process process_of(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
  std::string text{std::istreambuf_iterator<char>(in), {}};
  size_t begin = text.find('('), end = text.rfind(')');
  Process process;
  if (begin == text.npos || end == text.npos) return process;
  process.name = text.substr(begin + 1, end - begin - 1);
  std::sscanf(text.c_str() + end + 1, " %*c %d", &process.parent);
  return process;
}

// A script may stand between it and folio. 0: there is none.
pid_t open_mpi_daemon() {
  const char* const names[] = {"mpirun", "mpiexec", "orterun", "orted", "prterun", "prted"};
  pid_t pid = getppid();
  for (int step = 0; step < 8 && pid > 1; ++step) {
    Process process = process_of(pid);
    if (std::ranges::find(names, process.name) != std::end(names)) return pid;
    pid = process.parent;
  }
  return 0;
}

}  // namespace

void end_launcher_after(std::chrono::seconds grace) {
  pid_t daemon = open_mpi_daemon();
  if (daemon == 0) return;
  int handle = int(syscall(SYS_pidfd_open, daemon, 0));  // stays that process's
  if (handle < 0 || fork() != 0) return;
  // From here on only what may follow a fork of several threads. A session of its own: the daemon
  // ends those of its ranks.
  setsid();
  // Somebody may wait for the end of what is written there.
  if (handle > 0) close_range(0, unsigned(handle) - 1, 0);
  close_range(unsigned(handle) + 1, ~0U, 0);
  pollfd gone{handle, POLLIN, 0};
  if (poll(&gone, 1, int(grace.count()) * 1000) == 0)
    syscall(SYS_pidfd_send_signal, handle, SIGKILL, nullptr, 0);
  _exit(0);
}

}  // namespace folio
