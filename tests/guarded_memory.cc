#include "tests/guarded_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace folio {

// In huge pages, of which there are few to open and close.
GuardedPages::GuardedPages() {
  void* range =
      mmap(nullptr, bytes + step, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(range != MAP_FAILED, "guarded: cannot reserve {} bytes of address space", bytes);
  size_t space = bytes + step;
  std::align(step, bytes, range, space);
  base_ = static_cast<char*>(range);
  madvise(base_, bytes, MADV_HUGEPAGE);
}

std::string GuardedPages::grow(size_t end) {
  if (end > bytes) return fmt::format("at the most {} bytes on the guarded device", bytes);
  std::lock_guard lock(mutex_);
  if (end <= end_) return "";
  end_ = std::min(bytes, (end + step - 1) / step * step);
  if (open_ > 0) protect(PROT_READ | PROT_WRITE);
  return "";
}

void GuardedPages::open() {
  std::lock_guard lock(mutex_);
  if (open_++ == 0) protect(PROT_READ | PROT_WRITE);
}

void GuardedPages::close() {
  std::lock_guard lock(mutex_);
  if (--open_ == 0) protect(PROT_NONE);
}

void GuardedPages::protect(int how) {
  if (end_ == 0 || mprotect(base_, end_, how) == 0) return;
  std::perror("guarded: mprotect");
  std::abort();
}

std::shared_ptr<Storage> GuardedMemory::take(size_t bytes) {
  return {new Storage{.data = allocator_.allocate(bytes), .bytes = bytes, .device = device_},
          [this](Storage* storage) {
            allocator_.free(storage->data);
            delete storage;
          }};
}

Array GuardedMemory::seen_by_cpu(const Array& x) const {
  if (!x.defined()) return x;
  check(x.device() == device_, "the guarded device was given an array {} {} of {}", x.dtype(),
        x.shape(), x.device());
  return Array(std::make_shared<Storage>(
                   Storage{.data = x.address(), .bytes = x.bytes(), .device = folio::cpu}),
               x.shape(), x.dtype());
}

PackedWeight GuardedMemory::seen_by_cpu(const PackedWeight& w) const {
  return {seen_by_cpu(w.data), w.n, w.k, w.format};
}

KvLayer GuardedMemory::seen_by_cpu(const KvLayer& cache) const {
  return {seen_by_cpu(cache.k), seen_by_cpu(cache.v), seen_by_cpu(cache.scales), cache.capacity};
}

Array GuardedMemory::kept(const Array& x) const {
  if (!x.defined()) return x;
  Array copy(x.shape(), x.dtype(), device_);
  cpu_.read(x, copy.address());
  return copy;
}

}  // namespace folio
