#pragma once
#include <cstddef>

namespace folio::emulator {

#if defined(FOLIO_EMULATOR_TSAN)
inline constexpr bool under_tsan = true;
#else
inline constexpr bool under_tsan = false;
#endif

// A stack to run on. Exactly one of a host thread's fibers runs; it goes on where it left off when
// another switches to it. AddressSanitizer and ThreadSanitizer are told.
class Fiber {
 public:
  Fiber();                          // the stack that this host thread runs on now
  explicit Fiber(void (*entry)());  // a stack of its own; entry must not return
  ~Fiber();                         // not the one that runs
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // From *this, which runs, to `other`; returns once somebody switches back.
  void switch_to(Fiber& other);

 private:
  static void begin();
  void arrive();

  void* stack_pointer_ = nullptr;
  char* mapping_ = nullptr;  // with a page below the stack that nobody can touch
  void (*entry_)() = nullptr;
  const void* bottom_ = nullptr;  // of the stack; of the host's, known after the first switch
  size_t bytes_ = 0;
  void* fake_stack_ = nullptr;  // AddressSanitizer's
  void* context_ = nullptr;     // ThreadSanitizer's
};

// For ThreadSanitizer: memory that is taken or given back while one lives is of no thread.
class Unseen {
 public:
  Unseen();
  ~Unseen();
  Unseen(const Unseen&) = delete;
  Unseen& operator=(const Unseen&) = delete;
};

// For ThreadSanitizer: what was done before happens_before(at) comes before what is done after
// happens_after(at). Nothing otherwise.
void happens_before(void* at);
void happens_after(void* at);

}  // namespace folio::emulator
