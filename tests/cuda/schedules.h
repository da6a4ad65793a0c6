#pragma once
#include <gtest/gtest.h>

#include "core/cuda/gpu.h"
#if defined(CUDA_EMULATOR)
#include "tests/cuda/emulator/emulator.h"
#endif

namespace folio {

#if defined(__SANITIZE_THREAD__)
inline constexpr bool with_tsan = true;
#else
inline constexpr bool with_tsan = false;
#endif

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool with_asan = true;
#else
inline constexpr bool with_asan = false;
#endif
// ThreadSanitizer, which takes milliseconds for a thread, finds races in any order.
inline constexpr int schedule_count = with_tsan ? 1 : with_asan ? 4 : 6;

// f() under every order in which the emulator can run threads, the random one with several seeds
// where no sanitizer slows it down. A GPU has an order of its own.
template <class F>
void on_every_schedule(F&& f) {
#if defined(CUDA_EMULATOR)
  auto run = [&](emulator::Schedule schedule, uint64_t seed) {
    SCOPED_TRACE("schedule " + std::to_string(int(schedule)) + ", seed " + std::to_string(seed));
    emulator::use(schedule, seed);
    f();
  };
  run(emulator::Schedule::random, 1);
  for (uint64_t seed = 2; schedule_count == 6 && seed <= 3; ++seed)
    run(emulator::Schedule::random, seed);
  if (!with_tsan) {
    run(emulator::Schedule::forward, 1);
    run(emulator::Schedule::reverse, 1);
    run(emulator::Schedule::warp_greedy, 1);
  }
  emulator::use(emulator::Schedule::forward);
#else
  f();
#endif
}

}  // namespace folio
