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
    // What is written comes through in its order, but not at once: up to a mark behind it.
    std::string text;
    char byte = '\0';
    check(write(line_, &byte, 1) == 1, "a pseudo-terminal takes no byte");
    while (read(screen_, &byte, 1) == 1 && byte != '\0') text += byte;
    return text;
  }

 private:
  int screen_, line_ = -1;
};

// Standard output or error, STDOUT_FILENO or STDERR_FILENO, is `fd` while one lives.
class StandardStream {
 public:
  StandardStream(int stream, int fd) : stream_(stream), saved_(dup(stream)) { dup2(fd, stream); }
  ~StandardStream() {
    dup2(saved_, stream_);
    close(saved_);
  }
  StandardStream(const StandardStream&) = delete;
  StandardStream& operator=(const StandardStream&) = delete;

 private:
  int stream_, saved_;
};

}  // namespace folio
