#pragma once
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "core/ranks/rendezvous.h"

namespace folio {

// For tests of several processes: a test starts this program again, once a rank, with the same
// device and itself as the only test, which then finds that it is one of the ranks. What a rank's
// environment says is what users set: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.
struct RankEnd {
  int status = 0;      // as waitpid gives it
  std::string output;  // both streams
  bool ok() const;     // it ran the test, which passed
};

// In a rank: its place. In the test's first process: none.
std::optional<Rendezvous::Place> this_rank();

// Starts `size` ranks of the test that runs and waits for all. None outlives this process. Each of
// `set` ("NAME=value") goes to the environment of all.
std::vector<RankEnd> run_ranks(int size, const std::vector<std::string>& set = {});

// In a rank: `body`. Before: the ranks, for each of these sizes, all of which must end well.
void on_ranks(std::initializer_list<int> sizes,
              const std::function<void(const Rendezvous::Place&)>& body);

// A port of this machine that nobody else is given while this lives; a rank 0 can listen on it.
class ReservedPort {
 public:
  ReservedPort();
  ~ReservedPort();
  ReservedPort(const ReservedPort&) = delete;
  ReservedPort& operator=(const ReservedPort&) = delete;
  int number() const { return number_; }

 private:
  int fd_, number_;
};

}  // namespace folio
