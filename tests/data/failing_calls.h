#pragma once

namespace folio {

// While one lives, system calls of its thread that open, read, write, sync, lock, look at or rename
// files can fail on demand. The test program defines these calls itself, in front of the C
// library's; every other thread, and everybody at other times, gets the library's.
class FailingCalls {
 public:
  enum class Then { once, from_then_on };
  // Call number `first`, counted from 1 (0: none), fails with `error`; or it and all later ones.
  FailingCalls(int first, int error, Then then = Then::once);
  ~FailingCalls();
  FailingCalls(const FailingCalls&) = delete;
  FailingCalls& operator=(const FailingCalls&) = delete;

  int made() const;  // calls so far, failed ones too
};

}  // namespace folio
