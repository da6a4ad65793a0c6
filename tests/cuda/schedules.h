#pragma once
#include <gtest/gtest.h>

#include "tests/cuda/emulator/emulator.h"

namespace folio {

// f() under every order in which the emulator can run threads, the random one with several seeds.
template <class F>
void on_every_schedule(F&& f) {
  for (emulator::Schedule schedule : emulator::schedules)
    for (uint64_t seed : {1, 2, 3}) {
      if (schedule != emulator::Schedule::random && seed > 1) continue;
      SCOPED_TRACE("schedule " + std::to_string(int(schedule)) + ", seed " + std::to_string(seed));
      emulator::use(schedule, seed);
      f();
    }
  emulator::use(emulator::Schedule::forward);
}

}  // namespace folio
