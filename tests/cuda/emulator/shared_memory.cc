#include "tests/cuda/emulator/shared_memory.h"

#include <sys/mman.h>

#include <cstdint>

#include "core/check.h"
#include "tests/cuda/emulator/fiber.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

namespace folio::emulator {

SharedMemory::~SharedMemory() {
  if (!arena_) return;
  ASAN_UNPOISON_MEMORY_REGION(arena_, arena_bytes);
  munmap(arena_, arena_bytes);
}

// ThreadSanitizer forgets what it saw of pages that are mapped anew: the next block is another's.
void SharedMemory::begin_block(size_t dynamic_bytes) {
  if (under_tsan && arena_) {
    munmap(arena_, arena_bytes);
    arena_ = nullptr;
  }
  if (!arena_) {
    void* mapping =
        mmap(nullptr, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(mapping != MAP_FAILED, "emulator: no memory for a block's shared memory");
    arena_ = static_cast<char*>(mapping);
  }
  ASAN_POISON_MEMORY_REGION(arena_, arena_bytes);
  used_ = static_ = 0;
  variables_.clear();
  dynamic_bytes_ = dynamic_bytes;
  dynamic_ = take(dynamic_bytes);
}

void* SharedMemory::variable(const void* key, size_t bytes) {
  if (auto known = variables_.find(key); known != variables_.end()) return known->second;
  const size_t limit = dynamic_bytes_ > without_opt_in ? most : without_opt_in;
  if (static_ + bytes > without_opt_in || static_ + bytes + dynamic_bytes_ > limit) return nullptr;
  static_ += bytes;
  return variables_[key] = take(bytes);
}

// 16-byte aligned and no more, as dynamic shared memory is.
void* SharedMemory::take(size_t bytes) {
  used_ += gap;
  char* at = arena_ + used_ + 16;
  const size_t whole = (bytes + gap - 1) / gap * gap;
  used_ += whole + gap;
  ASAN_UNPOISON_MEMORY_REGION(at, bytes);
  // Written word by word: a call of memset would be a thread's write to ThreadSanitizer. The last
  // word may reach into the gap.
  volatile uint32_t* words = reinterpret_cast<volatile uint32_t*>(at);
  for (size_t i = 0; i < bytes / 4; ++i) words[i] = ~0u;
  for (size_t i = bytes / 4 * 4; i < bytes; ++i) static_cast<volatile char*>(at)[i] = char(0xff);
  return at;
}

}  // namespace folio::emulator
