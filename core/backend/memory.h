#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "core/array.h"

namespace folio {

struct MemoryUse {
  size_t live = 0;      // bytes that Arrays hold now
  size_t peak = 0;      // the most that they have held
  size_t reserved = 0;  // bytes taken from the system
  size_t limit = 0;     // bytes that Arrays can hold at all
};

// A device's memory, and the way into it and out of it.
class Memory {
 public:
  virtual ~Memory() = default;

  virtual std::shared_ptr<Storage> allocate(size_t bytes) = 0;  // 64-byte aligned, from the cache
  virtual MemoryUse use() const = 0;
  virtual void forget_peak() = 0;          // use().peak counts from now on
  virtual uint64_t available() const = 0;  // bytes that Arrays may still take
  // Copies to.bytes() bytes. `host` has been read when it returns, and may go; they need not be on
  // the device yet.
  virtual void write(const void* host, Array& to) = 0;
  // The same of bytes that produce(host), called once before this returns and never for an empty
  // array, puts where it is told to: into the array's own memory, if the host can write there.
  virtual void write(const std::function<void(void* host)>& produce, Array& to) = 0;
  // Waits for all calls before it; then from.bytes() bytes are at `host`.
  virtual void read(const Array& from, void* host) = 0;
};

}  // namespace folio
