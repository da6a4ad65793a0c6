#pragma once
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <string>

#include "core/check.h"

namespace folio {

// A terminal of its own for a test, that shows what is written as it comes.
class PseudoTerminal {
 public:
  explicit PseudoTerminal(int columns) : screen_(posix_openpt(O_RDWR | O_NOCTTY)) {
    check(screen_ >= 0 && grantpt(screen_) == 0 && unlockpt(screen_) == 0, "no pseudo-terminal");
    line_ = open(ptsname(screen_), O_RDWR | O_NOCTTY);
    winsize size{};
    size.ws_col = static_cast<unsigned short>(columns);
    termios raw{};
    cfmakeraw(&raw);
    check(
        line_ >= 0 && ioctl(line_, TIOCSWINSZ, &size) == 0 && tcsetattr(line_, TCSANOW, &raw) == 0,
        "a pseudo-terminal cannot be set up");
  }
  ~PseudoTerminal() {
    close(line_);
    close(screen_);
  }
  PseudoTerminal(const PseudoTerminal&) = delete;
  PseudoTerminal& operator=(const PseudoTerminal&) = delete;

  int line() const { return line_; }  // what a program has as its standard error
  std::string shown() const {         // up to now
    std::string text;
    char buffer[4096];
    for (int bytes = 0; ioctl(screen_, FIONREAD, &bytes) == 0 && bytes > 0;)
      text.append(buffer, size_t(read(screen_, buffer, sizeof buffer)));
    return text;
  }

 private:
  int screen_, line_ = -1;
};

// Standard error is `fd` while one lives.
class StandardError {
 public:
  explicit StandardError(int fd) : saved_(dup(STDERR_FILENO)) { dup2(fd, STDERR_FILENO); }
  ~StandardError() {
    dup2(saved_, STDERR_FILENO);
    close(saved_);
  }
  StandardError(const StandardError&) = delete;
  StandardError& operator=(const StandardError&) = delete;

 private:
  int saved_;
};

}  // namespace folio
