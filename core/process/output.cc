#include "core/process/output.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/process/stop.h"

namespace folio {
namespace {

// 0, or why not all of it could be written.
int write_to(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0)
      text.remove_prefix(size_t(written));
    else if (errno != EINTR)
      return errno;
  }
  return 0;
}

// Where the standard output of a process of this user goes; "" if that cannot be seen.
std::string output_of(const std::string& process) {
  std::error_code none;
  return std::filesystem::read_symlink("/proc/" + process + "/fd/1", none);
}

std::string parent_of(const std::string& process) {
  std::ifstream file("/proc/" + process + "/status");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("PPid:")) return line.substr(line.find_first_of("0123456789"));
  return "0";
}

}  // namespace

void write_output(std::string_view text) {
  int reason = write_to(STDOUT_FILENO, text);
  if (reason == EPIPE) {
    request_stop(SIGPIPE);
    throw Interrupted{SIGPIPE};
  }
  check(reason == 0, "standard output: cannot write: {}", std::strerror(reason));
}

void write_aside(std::string_view text) noexcept { write_to(STDERR_FILENO, text); }

bool output_is_terminal() {
  if (isatty(STDOUT_FILENO) != 1) return false;
  if (!getenv("OMPI_COMM_WORLD_SIZE")) return true;
  // The nearest process above that writes to another place is mpirun, or its helper on this host.
  const std::string own = output_of("self");
  std::string process = std::to_string(getppid());
  while (output_of(process) == own) process = parent_of(process);
  const std::string file = output_of(process);
  return file.starts_with("/dev/pts/") || file.starts_with("/dev/tty");
}

int terminal_width(int fd) {
  winsize size{};
  bool known = ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

void open_standard_files() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free descriptor is `fd`: those below are open by now. Written to one that is only
    // open for reading, lines of progress are an error, as they would be to a closed one.
    int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    [[maybe_unused]] int opened = open("/dev/null", flags);
  }
}

}  // namespace folio
