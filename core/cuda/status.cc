#include "core/cuda/status.h"

#include "core/cuda/gpu.h"

namespace folio::cuda {

void check_launch(cudaError_t status, std::string_view kernel, const LaunchShape& shape) {
  const dim3 &grid = shape.grid, &block = shape.block;
  check_status(status, "{} of {} x {} x {} blocks of {} x {} x {} threads with {} bytes shared",
               kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z, shape.shared_bytes);
}

unsigned most_early_blocks() {
  static const unsigned most = [] {
    int device = 0;
    check_status(cudaGetDevice(&device), "cudaGetDevice");
    cudaDeviceProp properties{};
    check_status(cudaGetDeviceProperties(&properties, device), "cudaGetDeviceProperties({})",
                 device);
    return properties.major >= 9 ? unsigned(properties.multiProcessorCount) : 0;
  }();
  return most;
}

}  // namespace folio::cuda
