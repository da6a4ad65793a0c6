#include "core/cpu/system_pages.h"

#include <sys/mman.h>

#include <algorithm>

#include "core/process/memory_limit.h"
#include "core/text/numbers.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

namespace folio {
namespace {

constexpr size_t huge_page = size_t{2} << 20;

}  // namespace

SystemPages::SystemPages() {
  constexpr size_t most = size_t{1} << 44, least = size_t{1} << 24;
  uint64_t space = free_address_space();
  limit_ = space / 4 * 3 < most ? space / 4 * 3 / huge_page * huge_page : most;
  for (; limit_ >= least; limit_ = limit_ / 2 / huge_page * huge_page) {
    void* range = mmap(nullptr, limit_, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range == MAP_FAILED) continue;
    base_ = static_cast<char*>(range);
    madvise(base_, limit_, MADV_HUGEPAGE);
    return;
  }
  fail("cannot reserve {} MB of address space: {} are left; raise the limit (ulimit -v)",
       least >> 20, in_megabytes(double(space)));
}

SystemPages::~SystemPages() { munmap(base_, limit_); }

// To ask the system costs some 100 us, so small blocks are served from what was seen to be there.
std::string SystemPages::grow(size_t end) {
  constexpr size_t step = size_t{64} << 20;
  if (end > limit_)
    return fmt::format(
        "at the most {} of address space; raise the limit (ulimit -v) or make what is computed "
        "smaller",
        limit_);
  if (end > checked_) {
    uint64_t needed = end - std::min(end, end_), free = free_memory();
    if (needed > free)
      return fmt::format(
          "{} left by the machine or this process's control group; make what is computed smaller",
          free);
    checked_ = end + size_t(std::min<uint64_t>(step, (free - needed) / 4));
  }
  end_ = std::max(end_, end);
  return "";
}

void SystemPages::handed_out(char* block, size_t bytes, size_t reserved) {
  ASAN_POISON_MEMORY_REGION(block, reserved);
  ASAN_UNPOISON_MEMORY_REGION(block, bytes);
}

void SystemPages::taken_back(char* block, size_t reserved) {
  ASAN_POISON_MEMORY_REGION(block, reserved);
}

size_t SystemPages::gap() const {
#if defined(__SANITIZE_ADDRESS__)
  return 64;  // poisoned, so that a kernel that overruns a block is caught
#else
  return 0;
#endif
}

}  // namespace folio
