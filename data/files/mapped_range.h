#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace folio {

// A range of mapped memory whose pages may vanish, as a file's do when it becomes shorter. To read
// one then is SIGBUS; while the range is watched, zeros appear there instead and `damaged` is set.
struct WatchedRange {
  std::atomic<uintptr_t> begin = 0, end = 0;  // begin 0: nobody's
  std::atomic<bool> damaged = false;
  WatchedRange* next = nullptr;
};

// Thread-safe. The first call installs the handler of SIGBUS, which passes on what lies elsewhere.
WatchedRange* watch_range(const void* begin, size_t bytes);
void forget_range(WatchedRange* range);  // before it is unmapped

}  // namespace folio
