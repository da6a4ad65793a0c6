#pragma once
#include <cuda_runtime.h>

#include "core/check.h"

namespace folio::cuda {

// Throws Error unless `status` is cudaSuccess: "cuda: " + what was called, formatted, + why not.
//   check_status(cudaMalloc(&block, bytes), "cudaMalloc of {} bytes", bytes);
template <class... Args>
void check_status(cudaError_t status, fmt::format_string<Args...> call, Args&&... args) {
  if (status != cudaSuccess) [[unlikely]]
    fail("cuda: {}: {} ({})", fmt::format(call, std::forward<Args>(args)...),
         cudaGetErrorString(status), cudaGetErrorName(status));
}

}  // namespace folio::cuda
