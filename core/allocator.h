#pragma once
#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

#include "core/backend.h"

namespace folio {

// A best-fit allocator over one contiguous range of memory that only grows: freed blocks merge with
// their neighbours and are used again, so that a training step asks the system for nothing that the
// step before it did not. Blocks are 64-byte aligned. Thread-safe.
//
// The range is address space, reserved at the start: 16 TB, or where a limit is set (ulimit -v)
// three quarters of what it leaves, for others need some too.
class CachingAllocator {
 public:
  CachingAllocator();
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  // Throws Error, before any of it is touched, for more than there is.
  void* allocate(size_t bytes);
  void free(void* block);
  MemoryUse use() const;
  void forget_peak();  // use().peak counts from now on

 private:
  using Blocks = std::map<size_t, size_t>;  // offset -> bytes
  void insert_free(size_t offset, size_t bytes);
  void erase_free(Blocks::iterator block);

  char* base_ = nullptr;
  // Error, for a request of `bytes`, unless the arena can reach to `end`: in address space, and in
  // memory too.
  void check_space(size_t end, size_t bytes) const;
  void check_growth(size_t end, size_t bytes);

  size_t limit_ = 0;    // bytes of address space
  size_t end_ = 0;      // bytes handed out so far, freed or not
  size_t checked_ = 0;  // bytes for which the system was seen to have memory
  Blocks free_;
  std::set<std::pair<size_t, size_t>> free_by_size_;  // (bytes, offset)
  std::unordered_map<size_t, size_t> live_;           // offset -> bytes
  MemoryUse use_;
  mutable std::mutex mutex_;
};

}  // namespace folio
