#include <algorithm>
#include <cstring>

#include "core/cpu/cpu_backend.h"
#include "core/parallel.h"
#include "core/process/memory_limit.h"

namespace folio {

Backend& cpu_backend() {
  static CpuBackend& instance = *new CpuBackend;  // outlives every Array, static ones included
  return instance;
}

std::shared_ptr<Storage> CpuBackend::allocate(size_t bytes) {
  return {new Storage{.data = allocator_.allocate(bytes), .bytes = bytes, .device = cpu},
          [this](Storage* storage) {
            allocator_.free(storage->data);
            delete storage;
          }};
}

MemoryUse CpuBackend::memory() const { return allocator_.use(); }

void CpuBackend::forget_peak_memory() { allocator_.forget_peak(); }

uint64_t CpuBackend::available_memory() const {
  MemoryUse use = memory();
  return std::min(free_memory(), uint64_t(use.limit - use.live));
}

void CpuBackend::write(const void* host, Array& to) {
  to.begin_write("write");
  if (to.size() > 0) std::memcpy(to.address(), host, to.bytes());
}

void CpuBackend::write(const std::function<void(void* host)>& produce, Array& to) {
  to.begin_write("write");
  if (to.size() > 0) produce(to.address());
}

void CpuBackend::read(const Array& from, void* host) {
  if (from.size() > 0) std::memcpy(host, from.address(), from.bytes());
}

}  // namespace folio
