#include "train/interrupts.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace folio {
namespace {

std::atomic<bool> stop = false;

void wait_for(sigset_t signals) {
  using Clock = std::chrono::steady_clock;
  int signal = 0;
  sigwait(&signals, &signal);
  stop = true;
  // Terminals and supervisors may send one request twice, to the process and to its group.
  Clock::time_point first = Clock::now();
  do {
    sigwait(&signals, &signal);
  } while (Clock::now() - first < std::chrono::seconds(1));
  _exit(128 + signal);
}

}  // namespace

const std::atomic<bool>& stop_on_interrupt() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread(wait_for, signals).detach();
  return stop;
}

}  // namespace folio
