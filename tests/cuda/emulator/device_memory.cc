#include "tests/cuda/emulator/device_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <iterator>

#include "core/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

namespace folio::emulator {
namespace {

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

DeviceMemory& DeviceMemory::get() {
  static DeviceMemory memory;
  return memory;
}

DeviceMemory::DeviceMemory() {
  void* range =
      mmap(nullptr, range_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(range != MAP_FAILED, "emulator: cannot reserve {} bytes of address space", range_bytes);
  range_ = reinterpret_cast<char*>(round_up(reinterpret_cast<size_t>(range), page));
}

char* DeviceMemory::reserve(size_t bytes) {
  const size_t whole = round_up(bytes, page) + page;  // with a page between
  if (whole > range_bytes - page - used_) return nullptr;
  char* begin = range_ + used_;
  used_ += whole;
  return begin;
}

bool DeviceMemory::take(size_t bytes) {
  if (until_failure_ > 0 && --until_failure_ == 0) return false;
  if (bytes > free_bytes()) return false;
  allocated_ += bytes;
  return true;
}

void DeviceMemory::give_back(size_t bytes) { allocated_ -= bytes; }

void* DeviceMemory::allocate(size_t bytes) {
  const size_t block_bytes = round_up(bytes, 256), whole = round_up(bytes, page);
  if (!take(block_bytes)) return nullptr;
  char* begin = reserve(whole);
  if (!begin) {
    give_back(block_bytes);
    return nullptr;
  }
  char* block = begin + whole - block_bytes;
  pages_[begin] = {whole, true, block, block_bytes};
  poison(begin, whole);
  ASAN_POISON_MEMORY_REGION(begin, whole);
  ASAN_UNPOISON_MEMORY_REGION(block, bytes);
  return block;
}

bool DeviceMemory::free(void* block) {
  auto after = pages_.upper_bound(static_cast<char*>(block));
  if (after == pages_.begin()) return false;
  auto [begin, pages] = *std::prev(after);
  if (pages.block != block) return false;
  give_back(pages.block_bytes);
  return unmap(begin, pages.bytes);
}

bool DeviceMemory::map(char* begin, size_t bytes) {
  if (begin < range_ || begin + bytes > range_ + used_) return false;
  auto after = pages_.lower_bound(begin);
  if (after != pages_.end() && after->first < begin + bytes) return false;
  if (after != pages_.begin() && std::prev(after)->first + std::prev(after)->second.bytes > begin)
    return false;
  pages_[begin] = {bytes, false};
  return true;
}

bool DeviceMemory::unmap(char* begin, size_t bytes) {
  auto pages = pages_.find(begin);
  if (pages == pages_.end() || pages->second.bytes != bytes) return false;
  ASAN_UNPOISON_MEMORY_REGION(begin, bytes);
  pages_.erase(pages);
  void* mapping =
      mmap(begin, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  return mapping == begin;
}

// Of whole mappings only.
bool DeviceMemory::make_accessible(char* begin, size_t bytes) {
  for (char* at = begin; at < begin + bytes;) {
    auto pages = pages_.find(at);
    if (pages == pages_.end() || at + pages->second.bytes > begin + bytes) return false;
    if (!pages->second.accessible) poison(at, pages->second.bytes);
    pages->second.accessible = true;
    at += pages->second.bytes;
  }
  return true;
}

bool DeviceMemory::holds(const void* begin, size_t bytes) const {
  const char* at = static_cast<const char*>(begin);
  for (const char* end = at + bytes; at < end;) {
    auto after = pages_.upper_bound(const_cast<char*>(at));
    if (after == pages_.begin()) return false;
    const auto& [first, pages] = *std::prev(after);
    if (!pages.accessible || at < (pages.block ? pages.block : first)) return false;
    if (at >= first + pages.bytes) return false;
    at = first + pages.bytes;
  }
  return true;
}

void DeviceMemory::open() {
  if (open_++ > 0) return;
  for (const auto& [begin, pages] : pages_)
    if (pages.accessible) protect(begin, pages.bytes, PROT_READ | PROT_WRITE);
}

void DeviceMemory::close() {
  if (--open_ > 0) return;
  for (const auto& [begin, pages] : pages_)
    if (pages.accessible) protect(begin, pages.bytes, PROT_NONE);
}

void DeviceMemory::protect(char* begin, size_t bytes, int how) const {
  check(mprotect(begin, bytes, how) == 0, "emulator: mprotect failed");
}

// New memory holds NaN.
void DeviceMemory::poison(char* begin, size_t bytes) const {
  protect(begin, bytes, PROT_READ | PROT_WRITE);
  std::memset(begin, 0xff, bytes);
  if (open_ == 0) protect(begin, bytes, PROT_NONE);
}

}  // namespace folio::emulator
