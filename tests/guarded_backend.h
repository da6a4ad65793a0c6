#pragma once
#include "core/device.h"

namespace folio {

// A device of the tests, "guarded": the CPU's kernels over memory that can be read and written only
// while a Backend call runs. Elsewhere a look at what an Array holds ends the program with SIGSEGV,
// and a call that is given an Array of another device is an Error. Whatever works here touches
// Arrays through the Backend alone.
Device guarded_device();

}  // namespace folio
