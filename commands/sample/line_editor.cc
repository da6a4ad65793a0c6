#include "commands/sample/line_editor.h"

#include <histedit.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <filesystem>

#include "core/check.h"
#include "core/process/output.h"
#include "core/process/stop.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

constexpr int most_remembered = 1000;  // lines

// Waits until `fd` has something to read, or has ended; false: a stop was requested first.
bool wait_for_input(int fd) {
  pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
  while (!stop_requested()) {
    int ready = poll(&waiting, 1, 100);  // ms between two looks at what was requested
    if (ready > 0 || (ready < 0 && errno != EINTR)) return true;
  }
  return false;
}

ssize_t read_some(int fd, char* to, size_t bytes) {
  ssize_t count;
  while ((count = ::read(fd, to, bytes)) < 0 && errno == EINTR) {
  }
  return count;
}

// One character for libedit: 1, or 0 at the end, or -1 when a stop was requested.
int next_character(EditLine* editor, wchar_t* character) {
  std::FILE* in = nullptr;
  el_get(editor, EL_GETFP, 0, &in);
  std::mbstate_t state{};
  while (true) {
    if (!wait_for_input(fileno(in))) return -1;
    char byte;
    if (read_some(fileno(in), &byte, 1) != 1) return 0;
    size_t used = std::mbrtowc(character, &byte, 1, &state);
    if (used == size_t(-2)) continue;  // a part of a character
    if (used == size_t(-1)) {
      state = {};
      *character = L'?';
    }
    return 1;
  }
}

// Where lines are remembered from one session to the next; empty: nowhere.
fs::path history_file() {
  const char *state = std::getenv("XDG_STATE_HOME"), *home = std::getenv("HOME");
  fs::path folder;
  if (state && fs::path(state).is_absolute())
    folder = fs::path(state) / "folio";
  else if (home && fs::path(home).is_absolute())
    folder = fs::path(home) / ".local/state/folio";
  std::error_code error;
  if (!folder.empty()) fs::create_directories(folder, error);
  return folder.empty() || error ? fs::path() : folder / "history";
}

char* prompt(EditLine*) {
  static char text[] = "> ";
  return text;
}

}  // namespace

struct LineEditor::Terminal {
  explicit Terminal(std::FILE* in) : file(history_file()), history(history_init()) {
    // libedit reads characters in the encoding of the locale.
    if (!std::setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
    HistEvent event;
    ::history(history, &event, H_SETSIZE, most_remembered);
    ::history(history, &event, H_SETUNIQUE, 1);
    if (!file.empty()) ::history(history, &event, H_LOAD, file.c_str());
    // What the model writes goes to standard output, and may go elsewhere than what is typed.
    editor = el_init("folio", in, stderr, stderr);
    check(editor && history, "the terminal's line editor cannot start");
    el_set(editor, EL_PROMPT, prompt);
    el_set(editor, EL_EDITOR, "emacs");
    el_set(editor, EL_HIST, ::history, history);
    el_set(editor, EL_GETCFN, next_character);
    el_source(editor, nullptr);  // the user's own ~/.editrc
  }
  ~Terminal() {
    el_end(editor);  // gives the terminal back as it was
    HistEvent event;
    if (!file.empty()) ::history(history, &event, H_SAVE, file.c_str());
    history_end(history);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  fs::path file;
  History* history;
  EditLine* editor = nullptr;
};

LineEditor::LineEditor(std::FILE* in) : fd_(fileno(in)) {
  if (isatty(fd_) == 1) terminal_ = std::make_unique<Terminal>(in);
}

LineEditor::~LineEditor() = default;

std::optional<std::string> LineEditor::read() {
  if (!terminal_) return read_plain();
  // Before the prompt, after which libedit would do it itself: a Ctrl-D that is typed in between
  // would be the terminal's own, and be lost.
  el_set(terminal_->editor, EL_PREP_TERM, 1);
  int count = 0;
  const char* typed = el_gets(terminal_->editor, &count);
  throw_if_stopped();
  if (!typed || count <= 0) {
    write_aside("\n");  // after the prompt
    return {};
  }
  std::string line(typed, size_t(count));
  if (line.ends_with('\n')) line.pop_back();
  HistEvent event;
  if (!line.empty()) history(terminal_->history, &event, H_ENTER, line.c_str());
  return line;
}

std::optional<std::string> LineEditor::read_plain() {
  size_t end;
  while ((end = unread_.find('\n')) == std::string::npos && !at_end_) {
    if (!wait_for_input(fd_)) throw_if_stopped();
    char buffer[4096];
    ssize_t count = read_some(fd_, buffer, sizeof buffer);
    check(count >= 0, "standard input: cannot read: {}", std::strerror(errno));
    at_end_ = count == 0;
    unread_.append(buffer, size_t(count));
  }
  if (unread_.empty()) return {};
  std::string line = unread_.substr(0, end);
  unread_.erase(0, std::min(unread_.size(), line.size() + 1));
  return line;
}

}  // namespace folio
