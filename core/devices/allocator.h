#pragma once
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>

#include "core/backend.h"

namespace folio {

// Where a CachingAllocator gets its memory from: one contiguous range of addresses, of which only a
// growing beginning, [0, end), has memory behind it. A device says how.
class Pages {
 public:
  virtual ~Pages() = default;
  virtual char* base() const = 0;
  virtual size_t limit() const = 0;  // bytes of the range
  // Puts memory behind [0, end). -> "", or why that cannot be, to end a sentence with.
  virtual std::string grow(size_t end) = 0;
  // Told of every block, for tools that watch memory: `bytes` of the `reserved` at `block` may be
  // used from now on; none of them any more.
  virtual void handed_out(char* /*block*/, size_t /*bytes*/, size_t /*reserved*/) {}
  virtual void taken_back(char* /*block*/, size_t /*reserved*/) {}
  virtual size_t gap() const { return 0; }         // bytes to leave free after each block
  virtual size_t alignment() const { return 64; }  // of each block, a power of two
};

// A best-fit allocator over pages that only grow: freed blocks merge with their neighbours and are
// used again, so that a training step asks the system for nothing that the step before it did not.
// Thread-safe.
class CachingAllocator {
 public:
  explicit CachingAllocator(std::unique_ptr<Pages> pages);
  ~CachingAllocator();
  CachingAllocator(const CachingAllocator&) = delete;
  CachingAllocator& operator=(const CachingAllocator&) = delete;

  // Throws Error, and is as it was, if the pages cannot grow that far: nothing of the block has
  // been touched then.
  void* allocate(size_t bytes);
  void free(void* block);
  // A block for an Array of the device whose operation runs; freed with its last owner, which this
  // must outlive.
  std::shared_ptr<Storage> storage(size_t bytes);
  MemoryUse use() const;
  void forget_peak();  // use().peak counts from now on

 private:
  using Blocks = std::map<size_t, size_t>;  // offset -> bytes
  void insert_free(size_t offset, size_t bytes);
  void erase_free(Blocks::iterator block);
  void grow(size_t end, size_t bytes);  // Error, for a request of `bytes`, if that cannot be

  std::unique_ptr<Pages> pages_;
  size_t end_ = 0;  // bytes handed out so far, freed or not
  Blocks free_;
  std::set<std::pair<size_t, size_t>> free_by_size_;  // (bytes, offset)
  std::unordered_map<size_t, size_t> live_;           // offset -> bytes
  MemoryUse use_;
  mutable std::mutex mutex_;
};

}  // namespace folio
