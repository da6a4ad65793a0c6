#pragma once
#include <gtest/gtest.h>

#include "tests/cuda/emulator/emulator.h"

namespace folio {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool with_tsan = true;
#else
inline constexpr bool with_tsan = false;
#endif

// f() under every order in which the emulator can run threads, the random one with several seeds.
// ThreadSanitizer, which takes milliseconds for a thread, finds races in any order.
template <class F>
void on_every_schedule(F&& f) {
  for (emulator::Schedule schedule : emulator::schedules)
    for (uint64_t seed : {1, 2, 3}) {
      const bool random = schedule == emulator::Schedule::random;
      if (seed > 1 && (!random || with_tsan)) continue;
      if (with_tsan && !random) continue;
      SCOPED_TRACE("schedule " + std::to_string(int(schedule)) + ", seed " + std::to_string(seed));
      emulator::use(schedule, seed);
      f();
    }
  emulator::use(emulator::Schedule::forward);
}

}  // namespace folio
