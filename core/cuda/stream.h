#pragma once
#include <cuda_runtime.h>

namespace folio::cuda {

// The stream of everything that the device does, in the order in which it was asked for.
cudaStream_t stream();

}  // namespace folio::cuda
