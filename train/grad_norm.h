#pragma once
#include "nn/module.h"

namespace folio {

// The L2 norm of the gradients of all parameters together, a scalar on the device. Error for a
// parameter without one.
Array grad_norm(Module& module);

}  // namespace folio
