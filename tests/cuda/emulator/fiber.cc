#include "tests/cuda/emulator/fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstdlib>

#include "core/check.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
// ThreadSanitizer's instrumentation is left out of this library, so that what it does on behalf of
// the threads is nobody's race.
#if defined(FOLIO_EMULATOR_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {  // of the library, though in none of its headers
void AnnotateIgnoreWritesBegin(const char* file, int line);
void AnnotateIgnoreWritesEnd(const char* file, int line);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}
#endif

// Saves the registers that a call preserves on the stack that runs and that stack's address in
// *from, and goes on with those of the stack at `to`.
extern "C" void folio_switch_stack(void** from, void* to);
#if defined(__x86_64__)
asm(R"(
.text
.globl folio_switch_stack
.type folio_switch_stack, @function
folio_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size folio_switch_stack, . - folio_switch_stack
)");
#elif defined(__aarch64__)
asm(R"(
.text
.globl folio_switch_stack
.type folio_switch_stack, %function
folio_switch_stack:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x2, sp
  str x2, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size folio_switch_stack, . - folio_switch_stack
)");
#else
#error "fiber.cc switches stacks on x86-64 and aarch64 only"
#endif

namespace folio::emulator {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(FOLIO_EMULATOR_TSAN)
constexpr size_t stack_bytes = size_t{256} << 10;  // the frames of instrumented code are larger
#else
constexpr size_t stack_bytes = size_t{64} << 10;
#endif
constexpr size_t guard_bytes = size_t{64} << 10;  // a multiple of every page size

// Of the switch that is under way. One host thread at a time runs kernels.
Fiber* came_from = nullptr;
Fiber* going_to = nullptr;

// The stack as folio_switch_stack leaves it behind, such that it returns to `start`.
void* prepared_stack(char* end, void (*start)()) {
  auto* top = reinterpret_cast<void**>(end);
#if defined(__x86_64__)
  top -= 2;  // where a caller's return address would be, 8 past a multiple of 16 once it returns
  top[0] = reinterpret_cast<void*>(start);
  top[1] = nullptr;
  return top - 6;
#else
  top -= 20;
  top[11] = reinterpret_cast<void*>(start);  // x30
  return top;
#endif
}

}  // namespace

Fiber::Fiber() {
#if defined(FOLIO_EMULATOR_TSAN)
  context_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(void (*entry)()) : entry_(entry), bytes_(stack_bytes) {
  void* mapping = mmap(nullptr, guard_bytes + stack_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  check(mapping != MAP_FAILED, "emulator: no memory for the stack of a thread");
  mapping_ = static_cast<char*>(mapping);
  mprotect(mapping_, guard_bytes, PROT_NONE);
  bottom_ = mapping_ + guard_bytes;
  stack_pointer_ = prepared_stack(mapping_ + guard_bytes + stack_bytes, &Fiber::begin);
#if defined(FOLIO_EMULATOR_TSAN)
  context_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  if (!mapping_) return;
#if defined(FOLIO_EMULATOR_TSAN)
  __tsan_destroy_fiber(context_);
#endif
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(mapping_ + guard_bytes, stack_bytes);
#endif
  munmap(mapping_, guard_bytes + stack_bytes);
}

void Fiber::switch_to(Fiber& other) {
  came_from = this;
  going_to = &other;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(&fake_stack_, other.bottom_, other.bytes_);
#endif
#if defined(FOLIO_EMULATOR_TSAN)
  __tsan_switch_to_fiber(other.context_, __tsan_switch_to_fiber_no_sync);
#endif
  folio_switch_stack(&stack_pointer_, other.stack_pointer_);
  arrive();
}

void Fiber::arrive() {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake_stack_, &came_from->bottom_, &came_from->bytes_);
#endif
}

void Fiber::begin() {
  going_to->arrive();
  going_to->entry_();
  std::abort();
}

#if defined(FOLIO_EMULATOR_TSAN)
Unseen::Unseen() {
  AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
  AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
Unseen::~Unseen() {
  AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
  AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}
#else
Unseen::Unseen() = default;
Unseen::~Unseen() = default;
#endif

void happens_before([[maybe_unused]] void* at) {
#if defined(FOLIO_EMULATOR_TSAN)
  __tsan_release(at);
#endif
}

void happens_after([[maybe_unused]] void* at) {
#if defined(FOLIO_EMULATOR_TSAN)
  __tsan_acquire(at);
#endif
}

}  // namespace folio::emulator
