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

}  // namespace folio
