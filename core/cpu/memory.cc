#include <cstring>

#include "core/cpu/cpu_backend.h"
#include "core/parallel.h"

namespace folio {

Backend& cpu_backend() {
  static CpuBackend& instance = *new CpuBackend;  // outlives every Array, static ones included
  return instance;
}

std::shared_ptr<Storage> CpuBackend::allocate(size_t bytes) {
  return {new Storage{allocator_.allocate(bytes), bytes, cpu}, [this](Storage* storage) {
            allocator_.free(storage->data);
            delete storage;
          }};
}

MemoryUse CpuBackend::memory() const { return allocator_.use(); }

void CpuBackend::forget_peak_memory() { allocator_.forget_peak(); }

void CpuBackend::write(const void* host, Array& to) {
  to.check_writable("write");
  if (to.size() > 0) std::memcpy(to.address(), host, to.bytes());
}

void CpuBackend::write(const std::function<void(void* host)>& produce, Array& to) {
  to.check_writable("write");
  if (to.size() > 0) produce(to.address());
}

void CpuBackend::read(const Array& from, void* host) {
  if (from.size() > 0) std::memcpy(host, from.address(), from.bytes());
}

void CpuBackend::set_threads(int threads) { set_parallel_threads(threads); }

int CpuBackend::threads() const { return parallel_threads(); }

}  // namespace folio
