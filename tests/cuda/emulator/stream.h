#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

// The types behind cudaStream_t and cudaEvent_t. Work in a stream is done only when somebody waits
// for it, and no more of it than that needs: a wait that is missing shows.
struct CUstream_st {
  CUstream_st();
  ~CUstream_st();

  void add(std::function<void()> work);
  uint64_t added() const { return added_; }
  void run_to(uint64_t end);  // the first `end` pieces of work, as far as they are not done
  void drop() { work_.clear(); }
  // While it captures, what is added is not to be done, but kept for end_capture().
  void begin_capture() { captures_ = true; }
  std::vector<std::function<void()>> end_capture() {
    captures_ = false;
    return std::exchange(captured_, {});
  }
  bool captures() const { return captures_; }

 private:
  std::deque<std::function<void()>> work_;
  uint64_t added_ = 0;
  bool captures_ = false;
  std::vector<std::function<void()>> captured_;
};

struct CUevent_st {
  CUstream_st* stream = nullptr;  // in which it was recorded last, after that much work
  uint64_t position = 0;
  std::atomic<uint64_t> records = 0, records_reached = 0;
  std::chrono::steady_clock::time_point reached;
};

namespace folio::emulator {

// Held by every call of the runtime.
std::recursive_mutex& runtime_mutex();
bool is_stream(const CUstream_st* stream);
void run_everything();
void drop_everything();  // after a fault, as CUDA's context is lost

}  // namespace folio::emulator
