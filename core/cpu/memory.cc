#include <sched.h>

#include <cstring>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/parallel.h"

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

void CpuBackend::write(const void* host, Array& to) {
  if (to.size() > 0) std::memcpy(to.address(), host, to.bytes());
}

void CpuBackend::read(const Array& from, void* host) {
  if (from.size() > 0) std::memcpy(host, from.address(), from.bytes());
}

void CpuBackend::set_threads(int threads) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  int available = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed)
                                                                      : omp_get_num_procs();
  omp_set_num_threads(threads > 0 ? threads : available);
}

int CpuBackend::threads() const { return omp_get_max_threads(); }

}  // namespace folio
