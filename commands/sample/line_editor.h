#pragma once
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

namespace folio {

// Lines that a person types, or that a file or a pipe holds. On a terminal they are edited in place
// and have a history (libedit's keys), which is kept in $XDG_STATE_HOME/folio/history or, without
// that variable, ~/.local/state/folio/history, where such a file can be made.
class LineEditor {
 public:
  explicit LineEditor(std::FILE* in = stdin);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  bool on_terminal() const { return terminal_ != nullptr; }
  // The next line, without its newline; nothing at the end. Throws Interrupted
  // (core/process/stop.h) when a stop is requested while it waits.
  std::optional<std::string> read();

 private:
  struct Terminal;
  std::optional<std::string> read_plain();

  int fd_;
  std::string unread_;  // of a file or a pipe
  bool at_end_ = false;
  std::unique_ptr<Terminal> terminal_;
};

}  // namespace folio
