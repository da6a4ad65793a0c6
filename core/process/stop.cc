#include "core/process/stop.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <string_view>
#include <thread>

#include "core/process/output.h"

namespace folio {
namespace {

// The signal that asked; 0: none did; below 0: none did, and so many checks are left until one
// does.
std::atomic<int> asked = 0;
std::atomic<int> asks_later = 0;
std::atomic<bool> save_requested = false;
std::mutex answering;
std::string stop_answer = "stopping";
std::atomic<bool> answers = true;

std::string_view name_of(int signal) {
  switch (signal) {
    case SIGINT:
      return "Ctrl-C";
    case SIGTERM:
      return "SIGTERM";
    default:
      return "SIGHUP";
  }
}

void answer(const std::string& line) {
  if (answers) note("\nfolio: {}\n", line);
}

std::string current_answer() {
  std::lock_guard lock(answering);
  return stop_answer;
}

[[noreturn]] void wait_for(sigset_t signals) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point last{};
  int requests = 0;
  while (true) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal == SIGUSR1) {
      request_save();
      continue;
    }
    if (!stop_requested()) requests = 0;  // those before were forgotten: this is a first again
    // Terminals and supervisors may send one request twice, to the process and to its group.
    Clock::time_point now = Clock::now();
    if (requests > 0 && now - last < std::chrono::seconds(1)) continue;
    last = now;
    ++requests;
    if (requests == 1) {
      answer(fmt::format("{}: {}", name_of(signal), current_answer()));
      request_stop(signal);
    } else if (requests == 2) {
      answer(fmt::format("still at it: {}; a third request ends at once, and loses it",
                         current_answer()));
    } else {
      _exit(128 + signal);
    }
  }
}

}  // namespace

void listen_for_signals() {
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  for (int number : {SIGINT, SIGTERM, SIGUSR1}) sigaddset(&signals, number);
  struct sigaction hangup {};
  sigaction(SIGHUP, nullptr, &hangup);
  if (hangup.sa_handler != SIG_IGN) sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread(wait_for, signals).detach();
}

void set_stop_answer(std::string what_will_happen) {
  std::lock_guard lock(answering);
  stop_answer = std::move(what_will_happen);
}

void answer_no_stop() { answers = false; }

int stop_signal() { return std::max(0, asked.load(std::memory_order_relaxed)); }

bool stop_requested() { return stop_signal() != 0; }

void request_stop(int signal) {
  int now = asked.load();
  while (now <= 0 && !asked.compare_exchange_weak(now, signal)) {
  }
}

void request_stop_at_check(int signal, int n) {
  asks_later = signal;
  asked = -n;
}

void forget_stop() { asked = 0; }

void throw_if_stopped() {
  if (asked.load(std::memory_order_relaxed) == 0) return;
  if (!stop_requested() && asked.fetch_add(1) == -1) request_stop(asks_later);
  if (int signal = stop_signal()) throw Interrupted{signal};
}

bool take_save_request() { return save_requested.exchange(false); }

void request_save() { save_requested = true; }

}  // namespace folio
