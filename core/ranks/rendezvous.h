#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/ranks/socket.h"

namespace folio {

// Processes that find each other without MPI, over TCP: all connect to rank 0. For networks in
// which whoever reaches its port may take part, as those of clusters are.
class Rendezvous {
 public:
  struct Place {
    int rank = 0, size = 1;
    std::string host;  // rank 0's
    int port = 0;      // on which it listens
  };
  // As torchrun and its likes say it: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. None where
  // neither of the first two is set; Error where one is missing or no number. Where torchrun's
  // agent itself listens on the port (TORCHELASTIC_USE_AGENT_STORE=True), the next one is taken.
  static std::optional<Place> place_from_environment();

  // Waits for all ranks; `timeout` is the longest wait here and in `gather`. Error, on every rank
  // that has come, where one does not come or says another size.
  Rendezvous(Place place, std::chrono::seconds timeout);
  ~Rendezvous();
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;

  const Place& place() const { return place_; }
  // What each rank gave, by rank; 64 MiB each at most. Error, the same on every rank, that names
  // the rank that has ended, or took no part in time.
  std::vector<std::string> gather(const std::string& mine);
  // See Communicator::on_lost: a rank is gone when its connection ends, which rank 0 tells the
  // others. To be called once.
  void on_lost(std::function<void(const std::string& why)> lost);

 private:
  void wait_for_all(Socket::Deadline deadline);
  std::vector<std::string> gather_by(const std::string& mine, Socket::Deadline deadline);
  std::vector<std::string> collect(const std::string& mine, Socket::Deadline deadline);
  std::string receive_text(int from, Socket::Deadline deadline);
  std::string give_up(const std::string& why);  // tells the other ranks; returns the first reason
  std::string watch(int stop);
  std::string named(int rank) const;  // "rank 2 of 4 (its host)"

  Place place_;
  std::chrono::seconds timeout_;
  int unwinding_;                     // std::uncaught_exceptions() when this was made
  std::mutex sending_;                // held for a whole message
  std::mutex hearing_;                // held from a farewell's first byte to `give_up`; the outer
  std::atomic<bool> failed_ = false;  // and the others know
  std::string why_;                   // it failed; under `sending_`
  std::vector<Socket> to_;            // by rank; rank 0 has all but its own, the others rank 0's
  std::vector<std::string> hosts_;    // by rank, as far as they are known
  std::jthread watching_;
  int stop_watching_ = -1;  // the end of a pipe
};

}  // namespace folio
