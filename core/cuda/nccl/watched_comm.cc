#include "core/cuda/nccl/watched_comm.h"

#include <algorithm>
#include <exception>

#include "core/check.h"
#include "core/cuda/recorder.h"
#include "core/cuda/stream.h"

namespace folio::cuda {

using std::chrono::milliseconds;

WatchedComm::WatchedComm(const ncclUniqueId& id, int rank, int size, std::chrono::seconds timeout)
    : rank_(rank), size_(size), timeout_(timeout), unwinding_(std::uncaught_exceptions()) {
  check_status(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking),
               "cudaStreamCreateWithFlags");
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  try {
    const std::string what = "making a communicator";
    settle(what, nccl().comm_init(&comm_, size_, id, rank_, &config));
  } catch (...) {
    cudaStreamDestroy(stream_);
    throw;
  }
  watching_ = std::jthread([this](std::stop_token stop) { watch(stop); });
}

WatchedComm::~WatchedComm() {
  if (std::uncaught_exceptions() > unwinding_)
    abort("it was given up");
  else
    close();
  watching_.request_stop();
  watching_.join();
  under_way_.clear();
  cudaStreamDestroy(stream_);
}

// All that fails here has been said, or is of no use to anybody any more.
void WatchedComm::close() {
  try {
    synchronize();
    std::unique_lock lock(mutex_);
    if (!comm_) return;
    const ncclResult_t result = nccl().comm_finalize(comm_);
    lock.unlock();
    settle("closing a communicator", result);
    lock.lock();
    if (comm_) nccl().comm_destroy(std::exchange(comm_, nullptr));
  } catch (const Error&) {
    abort("it could not be closed");
  }
}

std::string WatchedComm::error_text(const std::string& what, ncclResult_t result) {
  const char* more = nccl().get_last_error(comm_);
  return fmt::format(
      "rank {} of {}: NCCL: {}: {}{}{}; where another rank has ended, its own output says why; "
      "NCCL_DEBUG=INFO says more",
      rank_, size_, what, nccl().get_error_string(result), more && *more ? ": " : "",
      more ? more : "");
}

std::string WatchedComm::timeout_text(const std::string& what) const {
  return fmt::format(
      "rank {} of {}: NCCL: {}: another rank took no part for {} s: it hangs, has ended, or needs "
      "a longer comm_timeout; the ranks' own output says more, and NCCL_DEBUG=INFO what NCCL does",
      rank_, size_, what, timeout_.count());
}

void WatchedComm::abort_locked(const std::string& why) {
  if (failure_.empty()) failure_ = why;
  if (comm_) nccl().comm_abort(std::exchange(comm_, nullptr));
}

// Which rank is gone NCCL does not say; who calls `abort` does, if that is soon.
void WatchedComm::fail_with(const std::string& what, ncclResult_t result) {
  constexpr std::chrono::seconds until_named{2};
  if (!broken_at_) broken_at_ = Clock::now();
  const bool by_others = result == ncclRemoteError || result == ncclSystemError;
  if (!by_others || Clock::now() - *broken_at_ > until_named)
    abort_locked(error_text(what, result));
}

void WatchedComm::abort(const std::string& why) {
  std::lock_guard lock(mutex_);
  abort_locked(why);
}

void WatchedComm::check_alive() {
  std::lock_guard lock(mutex_);
  check(failure_.empty(), "{}", failure_);
}

// Until NCCL has done what it was asked for, which its threads do: it can be asked for nothing else
// before.
void WatchedComm::settle(const std::string& what, ncclResult_t result) {
  const Clock::time_point begin = Clock::now();
  while (true) {
    {
      std::lock_guard lock(mutex_);
      check(failure_.empty(), "{}", failure_);
      if (result == ncclInProgress || result == ncclSuccess) {
        ncclResult_t state = ncclSuccess;
        const ncclResult_t asked = nccl().comm_get_async_error(comm_, &state);
        result = asked == ncclSuccess ? state : asked;
      }
      if (result == ncclSuccess) return;
      if (result != ncclInProgress) fail_with(what, result);
      if (Clock::now() - begin > timeout_) abort_locked(timeout_text(what));
      check(failure_.empty(), "{}", failure_);
    }
    if (Clock::now() - begin < milliseconds(1))
      std::this_thread::yield();
    else
      std::this_thread::sleep_for(milliseconds(1));
  }
}

std::shared_ptr<WatchedComm::Collective> WatchedComm::queue(std::string what, const Call& call) {
  check(!is_recording(), "{}: a recording has no part that other ranks take part in", what);
  auto made = std::make_shared<Collective>();
  made->what = std::move(what);
  made->ready.record(stream());
  made->ready.hold(stream_);
  ncclResult_t result = ncclSuccess;
  {
    std::lock_guard lock(mutex_);
    check(failure_.empty(), "{}", failure_);
    result = call(comm_, stream_);
  }
  settle(made->what, result);
  made->done.record(stream_);
  std::lock_guard lock(mutex_);
  while (!under_way_.empty() && under_way_.front()->done.reached()) {
    if (next_ == under_way_.front().get()) next_ = nullptr;
    under_way_.pop_front();
  }
  under_way_.push_back(made);
  return made;
}

void WatchedComm::synchronize() {
  check_status(cudaStreamSynchronize(stream_), "waiting for NCCL");
  check_alive();
}

void WatchedComm::watch(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested() && failure_.empty()) {
    try {
      look();
    } catch (const Error& error) {
      abort_locked(error.what());
    }
    const milliseconds pause =
        std::clamp<milliseconds>(timeout_ / 20, milliseconds(1), milliseconds(100));
    wake_.wait_for(lock, stop, pause, [] { return false; });
  }
}

// Removes nothing from under_way_: an event is not given back while the device hangs.
void WatchedComm::look() {
  if (!comm_) return;
  ncclResult_t state = ncclSuccess;
  const ncclResult_t asked = nccl().comm_get_async_error(comm_, &state);
  const ncclResult_t result = asked == ncclSuccess ? state : asked;
  const auto first =
      std::ranges::find_if(under_way_, [](auto& one) { return !one->done.reached(); });
  const Collective* next = first == under_way_.end() ? nullptr : first->get();
  if (result != ncclSuccess && result != ncclInProgress)
    return fail_with(next ? next->what : "between collectives", result);
  if (next != next_) next_could_run_at_.reset();
  next_ = next;
  if (!next) return;
  if (!next_could_run_at_ && next->ready.reached()) next_could_run_at_ = Clock::now();
  if (next_could_run_at_ && Clock::now() - *next_could_run_at_ > timeout_)
    abort_locked(timeout_text(next->what));
}

}  // namespace folio::cuda
