#include "core/allocator.h"

#include <sys/mman.h>

#include <algorithm>
#include <new>

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

constexpr size_t alignment = 64;
constexpr size_t huge_page = size_t{2} << 20;
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t redzone = alignment;  // poisoned, so that a kernel that overruns a block is caught
#else
constexpr size_t redzone = 0;
#endif

}  // namespace

// The range is reserved, not committed: pages cost memory once they are touched.
CachingAllocator::CachingAllocator() {
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

CachingAllocator::~CachingAllocator() { munmap(base_, limit_); }

void CachingAllocator::insert_free(size_t offset, size_t bytes) {
  free_.emplace(offset, bytes);
  free_by_size_.emplace(bytes, offset);
}

void CachingAllocator::erase_free(Blocks::iterator block) {
  free_by_size_.erase({block->second, block->first});
  free_.erase(block);
}

void* CachingAllocator::allocate(size_t bytes) {
  std::lock_guard lock(mutex_);
  check_space(bytes, bytes);
  size_t need = (std::max(bytes, size_t{1}) + redzone + alignment - 1) / alignment * alignment;
  size_t offset;
  auto fit = free_by_size_.lower_bound({need, 0});
  if (fit != free_by_size_.end()) {
    auto [size, at] = *fit;
    erase_free(free_.find(at));
    if (size > need) insert_free(at + need, size - need);
    offset = at;
  } else {
    // Grow, starting inside the last block if that is free.
    auto last = free_.empty() ? free_.end() : std::prev(free_.end());
    bool tail = last != free_.end() && last->first + last->second == end_;
    offset = tail ? last->first : end_;
    check_growth(offset + need, bytes);
    if (tail) erase_free(last);
    end_ = offset + need;
    use_.reserved = (end_ + huge_page - 1) / huge_page * huge_page;
  }
  live_.emplace(offset, need);
  use_.live += need;
  use_.peak = std::max(use_.peak, use_.live);
  ASAN_POISON_MEMORY_REGION(base_ + offset, need);
  ASAN_UNPOISON_MEMORY_REGION(base_ + offset, bytes);
  return base_ + offset;
}

void CachingAllocator::free(void* block) {
  std::lock_guard lock(mutex_);
  auto offset = size_t(static_cast<char*>(block) - base_);
  auto live = live_.find(offset);
  size_t bytes = live->second;
  live_.erase(live);
  use_.live -= bytes;
  ASAN_POISON_MEMORY_REGION(base_ + offset, bytes);
  auto next = free_.lower_bound(offset);
  if (next != free_.end() && next->first == offset + bytes) {
    bytes += next->second;
    auto absorbed = next++;
    erase_free(absorbed);
  }
  if (next != free_.begin()) {
    auto previous = std::prev(next);
    if (previous->first + previous->second == offset) {
      offset = previous->first;
      bytes += previous->second;
      erase_free(previous);
    }
  }
  insert_free(offset, bytes);
}

void CachingAllocator::check_space(size_t end, size_t bytes) const {
  check(end <= limit_,
        "out of memory: {} bytes asked for, {} in use, and at the most {} of address space; raise "
        "the limit (ulimit -v) or make what is computed smaller",
        bytes, use_.live, limit_);
}

// To ask the system costs some 100 us, so small blocks are served from what was seen to be there.
void CachingAllocator::check_growth(size_t end, size_t bytes) {
  constexpr size_t step = size_t{64} << 20;
  check_space(end, bytes);
  if (end <= checked_) return;
  uint64_t needed = end - std::min(end, end_), free = free_memory();
  check(
      needed <= free,
      "out of memory: {} bytes asked for, {} in use, and {} left by the machine or this process's "
      "control group; make what is computed smaller",
      bytes, use_.live, free);
  checked_ = end + size_t(std::min<uint64_t>(step, (free - needed) / 4));
}

MemoryUse CachingAllocator::use() const {
  std::lock_guard lock(mutex_);
  MemoryUse use = use_;
  use.limit = limit_;
  return use;
}

void CachingAllocator::forget_peak() {
  std::lock_guard lock(mutex_);
  use_.peak = use_.live;
}

}  // namespace folio
