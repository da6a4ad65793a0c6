#include "core/process/output.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
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
  // Its parent, on this host, is mpirun, or mpirun's helper, whose output is no terminal.
  const std::string output = fmt::format("/proc/{}/fd/1", getppid());
  std::error_code none;
  const std::string file = std::filesystem::read_symlink(output, none);
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
