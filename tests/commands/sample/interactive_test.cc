// `folio sample --interactive` as a person meets it: on a pseudo-terminal, with keys.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>

#include "checkpoint/model_file.h"
#include "data/files/files.h"
#include "data/tokenizer/char_tokenizer.h"
#include "tests/data/temporary_folder.h"
#include "tests/paths.h"
#include "tests/sample/chat/chat_model.h"

namespace folio {
namespace {

using testing::HasSubstr;

// The program with a terminal of its own, on which it reads and writes its remarks; what the model
// writes comes through a pipe.
class Session {
 public:
  explicit Session(std::vector<std::string> args) {
    args.insert(args.begin(), folio_program());
    std::vector<char*> argv;
    for (std::string& arg : args) argv.push_back(arg.data());
    argv.push_back(nullptr);
    int pipe_ends[2];
    terminal_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal_ < 0 || grantpt(terminal_) || unlockpt(terminal_) ||
        pipe2(pipe_ends, O_CLOEXEC) != 0)
      throw std::runtime_error("no pseudo-terminal");
    std::string name = ptsname(terminal_);
    child_ = fork();
    if (child_ == 0) {
      setsid();
      int tty = open(name.c_str(), O_RDWR);  // becomes the controlling terminal
      for (int fd : {STDIN_FILENO, STDERR_FILENO}) dup2(tty, fd);
      dup2(pipe_ends[1], STDOUT_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(pipe_ends[1]);
    model_ = pipe_ends[0];
  }
  ~Session() {
    if (child_ > 0) {
      kill(child_, SIGKILL);
      waitpid(child_, nullptr, 0);
    }
    close(terminal_);
    close(model_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void type(const std::string& keys) {
    ASSERT_EQ(write(terminal_, keys.data(), keys.size()), std::ssize(keys));
  }
  // Reads until the terminal shows `text` after what was shown before; false if it never will.
  bool shows(const std::string& text) {
    size_t at;
    while ((at = shown_.find(text, seen_)) == std::string::npos)
      if (!read_more()) return false;
    seen_ = at + text.size();
    return true;
  }
  // Reads until the model has written `bytes` more than by the last call.
  bool model_writes(size_t bytes) {
    const size_t wanted = written_.size() + bytes;
    while (written_.size() < wanted)
      if (!read_more()) return false;
    return true;
  }
  // Whether typed lines are echoed and edited by the terminal itself.
  bool terminal_is_as_it_was() const {
    termios settings{};
    tcgetattr(terminal_, &settings);
    return (settings.c_lflag & ICANON) && (settings.c_lflag & ECHO);
  }
  int exit_status() {
    while (read_more()) {
    }
    if (!at_end_[0] || !at_end_[1]) kill(child_, SIGKILL);  // it does not end by itself
    int status = 0;
    waitpid(std::exchange(child_, 0), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }
  const std::string& shown() const { return shown_; }

 private:
  // False at the end of both, or when nothing comes for a minute.
  bool read_more() {
    std::array<pollfd, 2> fds{pollfd{terminal_, POLLIN, 0}, pollfd{model_, POLLIN, 0}};
    if (at_end_[0]) fds[0].fd = -1;
    if (at_end_[1]) fds[1].fd = -1;
    if ((at_end_[0] && at_end_[1]) || poll(fds.data(), fds.size(), 60000) <= 0) return false;
    for (size_t i : {0, 1}) {
      if (!fds[i].revents) continue;
      std::array<char, 4096> buffer;
      ssize_t count = read(fds[i].fd, buffer.data(), buffer.size());
      at_end_[i] = count <= 0;  // of a terminal that nobody has open: EIO
      if (count > 0) (i == 0 ? shown_ : written_).append(buffer.data(), size_t(count));
    }
    return true;
  }

  pid_t child_ = 0;
  int terminal_ = -1, model_ = -1;
  std::array<bool, 2> at_end_{};
  std::string shown_, written_;
  size_t seen_ = 0;
};

class Interactive : public testing::Test {
 protected:
  Interactive() {
    CheckpointFile file;
    put_parameters(file, *dense_model());
    std::u32string characters = U"\n";
    for (char32_t c = U' '; std::ssize(characters) < V; ++c) characters += c;
    put_tokenizer(file, CharTokenizer(characters));
    save(best_checkpoint(folder_.path()), file);
    setenv("XDG_STATE_HOME", folder_.path().c_str(), 1);
    setenv("TERM", "vt100", 1);
  }
  ~Interactive() override { unsetenv("XDG_STATE_HOME"); }
  std::vector<std::string> command(const std::string& option) const {
    return {"sample", "--interactive", "--out_dir=" + folder_.path(), "--threads=1", option};
  }

  TemporaryFolder folder_;
};

TEST_F(Interactive, LinesAreEditedAndRememberedAcrossSessions) {
  for (int session_number : {1, 2}) {
    Session session(command("--max_new_tokens=3"));
    ASSERT_TRUE(session.shows("> "));
    if (session_number == 1) {
      session.type("MARCO\x7f\x7f\x7fY\n");  // backspaces
      ASSERT_TRUE(session.shows("> "));
    }
    session.type("\x1b[A\n");  // up
    ASSERT_TRUE(session.shows("MAY")) << session.shown();
    ASSERT_TRUE(session.shows("> "));
    session.type("\x04");
    EXPECT_EQ(session.exit_status(), 0);
    EXPECT_TRUE(session.terminal_is_as_it_was());
    EXPECT_THAT(read_file(folder_ / "folio/history"), HasSubstr("MAY\n"));
  }
}

// One answer after another, more often than a third request to stop would allow, then itself.
TEST_F(Interactive, CtrlCEndsAnAnswerAndAtThePromptTheConversation) {
  Session session(command("--max_new_tokens=1000000000"));
  for (int answer = 0; answer < 4; ++answer) {
    ASSERT_TRUE(session.shows("> ")) << session.shown();
    session.type("A\n");
    ASSERT_TRUE(session.model_writes(20));
    session.type("\x03");
    ASSERT_TRUE(session.shows("the answer ends here")) << session.shown();
  }
  ASSERT_TRUE(session.shows("> "));
  session.type("half a line\x03");
  EXPECT_EQ(session.exit_status(), 128 + SIGINT);
  EXPECT_THAT(session.shown(), HasSubstr("the conversation ends"));
  EXPECT_TRUE(session.terminal_is_as_it_was());
}

// A turn after another, each of which Ctrl-C may end; /exit ends the conversation.
TEST_F(Interactive, AConversationGoesOnAfterAnAnswerThatWasStopped) {
  write_chat_model(folder_ / "chat", reference::chat_template("ChatML"), chat_config(4096));
  Session session({"sample", "--chat", "--interactive", "--init_from=" + (folder_ / "chat"),
                   "--threads=1", "--temperature=0", "--max_new_tokens=1000000000"});
  for (int answer = 0; answer < 4; ++answer) {
    ASSERT_TRUE(session.shows("> ")) << session.shown();
    session.type(answer == 1 ? "the \\\nabc\n" : "hi\n");
    ASSERT_TRUE(session.model_writes(20));
    session.type("\x03");
    ASSERT_TRUE(session.shows("the answer ends here")) << session.shown();
  }
  ASSERT_TRUE(session.shows("> "));
  session.type("/exit\n");
  EXPECT_EQ(session.exit_status(), 0);
  EXPECT_TRUE(session.terminal_is_as_it_was());
  EXPECT_THAT(session.shown(), HasSubstr(" run; KV cache"));
}

TEST_F(Interactive, AHistoryThatCannotBeKeptEndsNothing) {
  setenv("XDG_STATE_HOME", "/dev/null/no", 1);
  Session session(command("--max_new_tokens=3"));
  ASSERT_TRUE(session.shows("> "));
  session.type("ONE\n");
  ASSERT_TRUE(session.shows("> "));
  session.type("\x04");
  EXPECT_EQ(session.exit_status(), 0);
}

}  // namespace
}  // namespace folio
