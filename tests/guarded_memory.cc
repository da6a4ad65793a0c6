#include "tests/guarded_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

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

void GuardedMemory::write(const void* host, Array& to) {
  to.begin_write("write");
  if (to.size() > 0) std::memcpy(to.address(), host, to.bytes());
}

void GuardedMemory::write(const std::function<void(void* host)>& produce, Array& to) {
  std::vector<char> bytes(to.bytes());
  if (!bytes.empty()) produce(bytes.data());
  write(bytes.data(), to);
}

void GuardedMemory::read(const Array& from, void* host) {
  if (from.size() > 0) std::memcpy(host, from.address(), from.bytes());
}

}  // namespace folio
