#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/ranks/facts.h"

namespace folio {

// Watches over the ranks of a job beside what they compute: a thread in each exchanges a word with
// rank 0's about every second, over TCP, so that a rank may compute for minutes and is still heard.
// A rank whose connection ends without a farewell is gone; one that is silent for too long hangs,
// or cannot be reached. Time in which a process was stopped itself is not held against the others.
class Heartbeat {
 public:
  struct Options {
    std::chrono::milliseconds beat{1000};
    // For how long a rank may be silent. Rank 0 judges after 15/20 of it, rank 1 judges rank 0
    // after 16/20 and the others do after 17/20, so that one speaks and the job has ended by then.
    std::chrono::milliseconds timeout{300'000};
    // For how long rank 0 collects what others have to say once one has reported an error.
    std::chrono::milliseconds collect{300};
  };
  // What the end of the job is to this rank, on the heartbeat's thread: `say` is called on the one
  // that speaks for all, then `leave` on each, which is told whether somebody is silent: then the
  // network may be cut.
  struct End {
    std::function<void(const std::string& message)> say;
    std::function<void(bool silent)> leave;
    // Whether this process has been asked to stop, perhaps by a launcher that has lost a host or
    // another rank: then who has been silent for five beats is judged at once, before this rank is
    // killed; by rank 0 aloud.
    std::function<bool()> hurried = [] { return false; };
  };
  // Brings every rank what each gave, by rank.
  using Gather = std::function<std::vector<std::string>(const std::string& mine)>;

  // Called by all ranks; Error on all where one does not reach rank 0.
  Heartbeat(int rank, std::vector<RankFacts> ranks, const Gather& gather, const Options& options,
            End end);
  ~Heartbeat();  // a farewell: what becomes of the others is no concern of this rank any more
  Heartbeat(const Heartbeat&) = delete;
  Heartbeat& operator=(const Heartbeat&) = delete;

  // An error of this rank, which ends the job. The same text from all is said without a rank's
  // name. Returns at once.
  void report(const std::string& error);

 private:
  class Watch;
  std::unique_ptr<Watch> watch_;
};

}  // namespace folio
