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
  if (to.size() > 0) std::memcpy(to.address(), host, to.bytes());
}

void CpuBackend::write(const std::function<void(void* host)>& produce, Array& to) {
  if (to.size() > 0) produce(to.address());
}

void CpuBackend::read(const Array& from, void* host) {
  if (from.size() > 0) std::memcpy(host, from.address(), from.bytes());
}

Array CpuBackend::take_rows(const Array& x, std::span<const int64_t> rows) {
  Array taken({int64_t(rows.size()), x.dim(1)}, x.dtype());
  size_t bytes = size_t(x.dim(1)) * size_of(x.dtype());
  auto* to = static_cast<char*>(taken.address());
  for (int64_t row : rows) {
    std::memcpy(to, static_cast<const char*>(x.address()) + size_t(row) * bytes, bytes);
    to += bytes;
  }
  return taken;
}

void CpuBackend::set_threads(int threads) { set_parallel_threads(threads); }

int CpuBackend::threads() const { return parallel_threads(); }

}  // namespace folio
