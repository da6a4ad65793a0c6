#pragma once
#include <string>
#include <utility>

namespace folio {

// Ends a command that was asked to stop. No std::exception, so that nobody takes it for a failure
// on the way; main exits with 128 + signal.
struct Interrupted {
  int signal;
};

// From here on Ctrl-C (SIGINT), SIGTERM and SIGHUP, unless nohup ignores it, are requests to stop,
// SIGUSR1 is one to save, and writing to a pipe that nobody reads is an error (EPIPE) instead of
// the end. A request to stop is answered on standard error at once; the third, if a second has
// passed between them, ends the process where it is. A thread of its own waits for signals: no
// handler runs on the stack of a kernel that is computing. Call before other threads start.
void listen_for_signals();

// What the answer to a request says will happen; at first, that the command stops.
void set_stop_answer(std::string what_will_happen);
void answer_no_stop();  // from here on: of several processes one answers for all

bool stop_requested();
int stop_signal();              // the first one that asked; 0: nobody did
void request_stop(int signal);  // as if the signal had come; async-signal-safe
void forget_stop();             // as if none had come: the next is a first request again
// For tests: as if it came just before throw_if_stopped is called for the n-th time from now on.
void request_stop_at_check(int signal, int n);
void throw_if_stopped();   // Interrupted, if a stop was requested
bool take_save_request();  // true once for each SIGUSR1, or several in a row
void request_save();

// While one lives, parallel loops that its thread starts throw Interrupted at their next piece of
// work once a stop is requested. Only around work whose results are dropped then.
class Interruptible {
 public:
  Interruptible() { ++depth_; }
  ~Interruptible() { --depth_; }
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;

  static bool here() { return depth_ > 0; }
  // The same for work that is no parallel loop: to be called between its pieces.
  static void check() {
    if (here()) throw_if_stopped();
  }

 private:
  friend class Uninterruptible;
  inline static thread_local int depth_ = 0;
};

// While one lives, this thread's loops run to their end again: around what others wait for.
class Uninterruptible {
 public:
  Uninterruptible() : depth_(std::exchange(Interruptible::depth_, 0)) {}
  ~Uninterruptible() { Interruptible::depth_ = depth_; }
  Uninterruptible(const Uninterruptible&) = delete;
  Uninterruptible& operator=(const Uninterruptible&) = delete;

 private:
  const int depth_;
};

}  // namespace folio
