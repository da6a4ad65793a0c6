#include "core/ranks/leave.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>

#include "core/process/output.h"
#include "core/process/stop.h"
#include "core/ranks/heartbeat/heartbeat.h"
#include "core/ranks/launch.h"
#include "core/ranks/launcher.h"

namespace folio {
namespace {

std::mutex mutex;
std::string last_words;
std::unique_ptr<Heartbeat> heartbeat;  // says farewell when the process ends in order

void say_end(const std::string& reason) {
  answer_no_stop();  // whoever started the ranks ends them now, with signals
  std::lock_guard lock(mutex);
  note("folio: {}{}{}\n", reason, last_words.empty() ? "" : "; ", last_words);
}

// No destructor runs: they would wait for calls of MPI that never end.
void leave_now(bool silent, std::chrono::seconds timeout) {
  using std::chrono::seconds;
  if (silent) end_launcher_after(std::clamp(timeout / 10, seconds(1), seconds(5)));
  _exit(1);
}

}  // namespace

void watch_ranks(Communicator& ranks, const std::vector<RankFacts>& facts,
                 const Communicator::Options& options) {
  if (ranks.rank() > 0) answer_no_stop();
  heartbeat = std::make_unique<Heartbeat>(
      ranks.rank(), facts, [&](const std::string& mine) { return ranks.gather(mine); },
      Heartbeat::Options{.timeout = options.timeout},
      Heartbeat::End{say_end,
                     [timeout = options.timeout](bool silent) { leave_now(silent, timeout); },
                     stop_requested});
}

void set_last_words(std::string words) {
  std::lock_guard lock(mutex);
  last_words = std::move(words);
}

void leave_together(const std::string& error) {
  if (heartbeat) {
    heartbeat->report(error);
    while (true) pause();
  }
  // Before the ranks know of each other: what all find rank 0 says, and whoever started them then
  // asks the others to stop. What it does not find is said after a while.
  if (launched_rank(process_environment()) > 0) {
    answer_no_stop();
    for (int i = 0; i < 500; ++i) {
      if (stop_requested()) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  say_end(error);
}

}  // namespace folio
