#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "core/cuda/nccl/event.h"
#include "core/cuda/nccl/library.h"

namespace folio::cuda {

// An NCCL communicator, which never blocks the host, and the stream of its collectives. A thread
// watches them: the device would wait for a rank that is gone for ever, and the host for the
// device. Where NCCL reports an error, or a collective that nothing before it keeps from running
// takes longer than the timeout, the communicator is aborted, so that the device goes on, with
// values that are worth nothing; every call from then on is an Error that says why.
// Used by one thread, but for `abort`.
class WatchedComm {
 public:
  struct Collective {
    std::string what;  // for Errors
    Event ready;       // in the device's stream: what it reads is there
    Event done;        // in the communicator's
  };

  // Of the GPU that is set. Waits for the other ranks, which do the same.
  WatchedComm(const ncclUniqueId& id, int rank, int size, std::chrono::seconds timeout);
  // Waits for what is under way and for the other ranks; aborts where an exception unwinds.
  ~WatchedComm();
  WatchedComm(const WatchedComm&) = delete;
  WatchedComm& operator=(const WatchedComm&) = delete;

  // Has NCCL queue a collective behind all that the device has been asked for so far.
  using Call = std::function<ncclResult_t(ncclComm_t, cudaStream_t)>;
  std::shared_ptr<Collective> queue(std::string what, const Call& call);
  void synchronize();                  // waits until all of them are done
  void check_alive();                  // Error if it has failed
  void abort(const std::string& why);  // from any thread

 private:
  using Clock = std::chrono::steady_clock;
  void settle(const std::string& what, ncclResult_t result);
  void fail_with(const std::string& what, ncclResult_t result);
  std::string error_text(const std::string& what, ncclResult_t result);
  std::string timeout_text(const std::string& what) const;
  void abort_locked(const std::string& why);
  void close();
  void watch(std::stop_token stop);
  void look();  // what the watching thread does again and again

  const int rank_, size_;
  const std::chrono::seconds timeout_;
  const int unwinding_;  // std::uncaught_exceptions() when this was made
  cudaStream_t stream_ = nullptr;

  std::mutex mutex_;  // of all below, and of every call of NCCL
  ncclComm_t comm_ = nullptr;
  std::string failure_;                                 // "" while all is well
  std::optional<Clock::time_point> broken_at_;          // NCCL found that another rank is gone
  std::deque<std::shared_ptr<Collective>> under_way_;   // and done ones that nobody has removed yet
  const Collective* next_ = nullptr;                    // the first of them that is not done, and
  std::optional<Clock::time_point> next_could_run_at_;  // since when only other ranks are missing
  std::condition_variable_any wake_;
  std::jthread watching_;
};

}  // namespace folio::cuda
