#include "data/files/mapped_range.h"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

namespace folio {
namespace {

// Ranges are never freed, for the handler may be walking along them; forgotten ones serve again.
std::atomic<WatchedRange*> first_range = nullptr;
uintptr_t page_size = 4096;
struct sigaction previous_action {};

// Runs on the stack of whoever read: system calls and atomics alone.
void replace_with_zeros(int, siginfo_t* info, void*) {
  auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  int kept = errno;
  bool fault = info->si_code > 0;  // no signal that somebody sent
  for (WatchedRange* range = first_range; fault && range; range = range->next) {
    uintptr_t begin = range->begin, end = range->end;
    if (begin == 0 || address < begin || address >= end) continue;
    // What follows is missing too, or the reader has nothing to do with it any more.
    uintptr_t page = address / page_size * page_size;
    void* zeros = mmap(reinterpret_cast<void*>(page), end - page, PROT_READ,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) break;
    range->damaged = true;
    errno = kept;
    return;
  }
  // Nobody's: the instruction runs once more, under the action that was there before.
  sigaction(SIGBUS, &previous_action, nullptr);
  if (!fault) raise(SIGBUS);
  errno = kept;
}

void install_handler() {
  page_size = uintptr_t(sysconf(_SC_PAGESIZE));
  struct sigaction action {};
  action.sa_sigaction = replace_with_zeros;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &previous_action);
}

}  // namespace

WatchedRange* watch_range(const void* begin, size_t bytes) {
  static std::mutex registering;
  std::lock_guard lock(registering);
  static const bool installed = (install_handler(), true);
  static_cast<void>(installed);
  WatchedRange* range = first_range;
  while (range && range->begin != 0) range = range->next;
  if (!range) {
    range = new WatchedRange;
    range->next = first_range;
    first_range = range;
  }
  range->damaged = false;
  auto address = reinterpret_cast<uintptr_t>(begin);
  range->end = address + bytes;
  range->begin = address;
  return range;
}

void forget_range(WatchedRange* range) { range->begin = 0; }

}  // namespace folio
