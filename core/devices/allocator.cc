#include "core/devices/allocator.h"

#include <algorithm>

namespace folio {
namespace {

constexpr size_t huge_page = size_t{2} << 20;

}  // namespace

CachingAllocator::CachingAllocator(std::unique_ptr<Pages> pages) : pages_(std::move(pages)) {
  use_.limit = pages_->limit();
}

CachingAllocator::~CachingAllocator() = default;

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
  if (bytes > pages_->limit()) grow(bytes, bytes);  // before `bytes` is rounded up
  const size_t alignment = pages_->alignment();
  size_t need =
      (std::max(bytes, size_t{1}) + pages_->gap() + alignment - 1) / alignment * alignment;
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
    grow(offset + need, bytes);
    if (tail) erase_free(last);
    end_ = offset + need;
    use_.reserved = (end_ + huge_page - 1) / huge_page * huge_page;
  }
  live_.emplace(offset, need);
  use_.live += need;
  use_.peak = std::max(use_.peak, use_.live);
  char* block = pages_->base() + offset;
  pages_->handed_out(block, bytes, need);
  return block;
}

std::shared_ptr<Storage> CachingAllocator::storage(size_t bytes) {
  const Device device = RunningOn::device().value();
  return {new Storage{.data = allocate(bytes), .bytes = bytes, .device = device},
          [this](Storage* storage) {
            free(storage->data);
            delete storage;
          }};
}

void CachingAllocator::free(void* block) {
  std::lock_guard lock(mutex_);
  auto offset = size_t(static_cast<char*>(block) - pages_->base());
  auto live = live_.find(offset);
  size_t bytes = live->second;
  live_.erase(live);
  use_.live -= bytes;
  pages_->taken_back(static_cast<char*>(block), bytes);
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

void CachingAllocator::grow(size_t end, size_t bytes) {
  std::string reason = pages_->grow(end);
  check(reason.empty(), "out of memory: {} bytes asked for, {} in use, and {}", bytes, use_.live,
        reason);
}

MemoryUse CachingAllocator::use() const {
  std::lock_guard lock(mutex_);
  return use_;
}

void CachingAllocator::forget_peak() {
  std::lock_guard lock(mutex_);
  use_.peak = use_.live;
}

}  // namespace folio
