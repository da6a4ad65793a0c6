#pragma once
#include <string_view>

#include "core/device.h"

namespace folio {

// A device of the tests, "emulated": core/cuda on the GPU that tests/cuda/emulator emulates. The
// same kernels run here as on --device=cuda, block for block.
Device emulated_device();

// The order in which threads run in the kernels from now on: forward, reverse, random or
// warp_greedy (tests/cuda/emulator/emulator.h); Error for another name.
void use_schedule(std::string_view name);

// Arrays that the emulated device has been asked for so far.
int64_t emulated_allocations();

// From when the emulated device is asked for the nth Array from now on, it has no memory left,
// until this is gone: other programs hold what was free, other Arrays what the cache had.
class OutOfEmulatedMemory {
 public:
  explicit OutOfEmulatedMemory(int64_t nth);
  ~OutOfEmulatedMemory();
  OutOfEmulatedMemory(const OutOfEmulatedMemory&) = delete;
  OutOfEmulatedMemory& operator=(const OutOfEmulatedMemory&) = delete;
};

}  // namespace folio
