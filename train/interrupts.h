#pragma once
#include <atomic>

namespace folio {

// From here on Ctrl-C and SIGTERM set this flag, so that the loop can finish its step and save; a
// second one, a second or more later, ends the process. They go to a thread that waits for them:
// no handler ever runs on the stack of a kernel that is computing. Call before other threads start.
const std::atomic<bool>& stop_on_interrupt();

}  // namespace folio
