#pragma once
#include <cuda_runtime.h>

#include <cstdint>

namespace folio::cuda {

// Sorts keys [size] on the device, the least first; size is a power of two.
void sort(uint64_t* keys, int64_t size, cudaStream_t stream);

}  // namespace folio::cuda
