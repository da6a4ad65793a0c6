#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "core/check.h"

namespace folio {

// Working memory of the calling thread, handed out in 64-byte aligned pieces that are good for as
// long as the Scratch lives. The thread keeps the memory, so a step asks the system for none that
// the step before it did not. A Scratch that is made while others of its thread live, in a function
// that they call, has memory of its own. Contents are unspecified.
class Scratch {
 public:
  // `bytes` is the sum over the pieces of `bytes_for`.
  explicit Scratch(size_t bytes) {
    Levels& levels = this_thread();
    if (levels.used == levels.buffers.size()) levels.buffers.emplace_back();
    Buffer& buffer = levels.buffers[levels.used];
    if (buffer.bytes < bytes) {
      const size_t unit = page_for(bytes);
      const size_t rounded = (bytes + unit - 1) / unit * unit;
      buffer.bytes = 0;
      buffer.data.reset();
      buffer.data.reset(static_cast<char*>(std::aligned_alloc(unit, rounded)));
      check(buffer.data != nullptr, "out of memory: {} bytes of working memory asked for", bytes);
      if (unit > alignment) madvise(buffer.data.get(), rounded, MADV_HUGEPAGE);
      buffer.bytes = rounded;
    }
    next_ = buffer.data.get();
    ++levels.used;
  }
  ~Scratch() { --this_thread().used; }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <class T>
  static size_t bytes_for(int64_t n) {
    return (size_t(n) * sizeof(T) + alignment - 1) / alignment * alignment;
  }
  template <class T>
  T* take(int64_t n) {
    T* piece = reinterpret_cast<T*>(next_);
    next_ += bytes_for<T>(n);
    return piece;
  }

 private:
  static constexpr size_t alignment = 64;
  // What so much memory is a multiple of: the alignment or, from half a megabyte on where a matrix
  // unit reads it, a huge page, for tiles from small ones take twice the time.
  static size_t page_for(size_t bytes);
  struct Free {
    void operator()(char* data) const { std::free(data); }
  };
  struct Buffer {
    std::unique_ptr<char, Free> data;
    size_t bytes = 0;
  };
  struct Levels {
    std::vector<Buffer> buffers;
    size_t used = 0;  // by the Scratches that live
  };
  static Levels& this_thread() {
    static thread_local Levels levels;
    return levels;
  }

  char* next_;
};

}  // namespace folio
