#include "tests/emulated_backend.h"

#include <utility>

#include "core/cuda/cuda_backend.h"
#include "tests/cuda/emulator/emulator.h"

namespace folio {

Device emulated_device() {
  static const Device device = register_backend("emulated", cuda_backend());
  return device;
}

void use_schedule(std::string_view name) {
  using emulator::Schedule;
  constexpr std::pair<std::string_view, Schedule> schedules[] = {
      {"forward", Schedule::forward},
      {"reverse", Schedule::reverse},
      {"random", Schedule::random},
      {"warp_greedy", Schedule::warp_greedy}};
  for (const auto& [known, schedule] : schedules)
    if (name == known) return emulator::use(schedule);
  fail("schedule \"{}\" is not forward, reverse, random or warp_greedy", name);
}

}  // namespace folio
