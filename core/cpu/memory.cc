#include <algorithm>
#include <cstring>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/system_pages.h"
#include "core/devices/allocator.h"
#include "core/parallel.h"
#include "core/process/memory_limit.h"

namespace folio {

namespace {

class CpuMemory final : public Memory {
 public:
  std::shared_ptr<Storage> allocate(size_t bytes) override { return allocator_.storage(bytes); }

  MemoryUse use() const override { return allocator_.use(); }

  void forget_peak() override { allocator_.forget_peak(); }

  uint64_t available() const override {
    MemoryUse use = allocator_.use();
    return std::min(free_memory(), uint64_t(use.limit - use.live));
  }

  void write(const void* host, Array& to) override {
    to.begin_write("write");
    if (to.size() > 0) std::memcpy(to.address(), host, to.bytes());
  }

  void write(const std::function<void(void* host)>& produce, Array& to) override {
    to.begin_write("write");
    if (to.size() > 0) produce(to.address());
  }

  void read(const Array& from, void* host) override {
    if (from.size() > 0) std::memcpy(host, from.address(), from.bytes());
  }

 private:
  CachingAllocator allocator_{std::make_unique<SystemPages>()};
};

}  // namespace

Memory& cpu_memory() {
  static auto& operations = *new CpuMemory;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
