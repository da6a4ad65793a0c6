#include "core/output.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "core/stop.h"

namespace folio {
namespace {

void expect_written(bool written) {
  if (written) return;
  int reason = errno;
  std::clearerr(stdout);
  if (reason == EPIPE) {
    request_stop(SIGPIPE);
    throw Interrupted{SIGPIPE};
  }
  fail("standard output: cannot write: {}", std::strerror(reason));
}

}  // namespace

void write_output(std::string_view text) {
  expect_written(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

void flush_output() { expect_written(std::fflush(stdout) == 0); }

void write_aside(std::string_view text) noexcept {
  while (!text.empty()) {
    ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written >= 0)
      text.remove_prefix(size_t(written));
    else if (errno != EINTR)
      return;
  }
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
