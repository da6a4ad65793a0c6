#include "core/cuda/status.h"

#include "core/cuda/gpu.h"

namespace folio::cuda {

void check_launch(cudaError_t status, std::string_view kernel, const LaunchShape& shape) {
  const dim3 &grid = shape.grid, &block = shape.block;
  check_status(status, "{} of {} x {} x {} blocks of {} x {} x {} threads with {} bytes shared",
               kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z, shape.shared_bytes);
}

const cudaDeviceProp& device_properties() {
  static const cudaDeviceProp properties = [] {
    int device = 0;
    check_status(cudaGetDevice(&device), "cudaGetDevice");
    cudaDeviceProp found{};
    check_status(cudaGetDeviceProperties(&found, device), "cudaGetDeviceProperties({})", device);
    return found;
  }();
  return properties;
}

unsigned most_early_blocks() {
  const cudaDeviceProp& device = device_properties();
  return device.major >= 9 ? unsigned(device.multiProcessorCount) : 0;
}

}  // namespace folio::cuda
