#pragma once
// What every kernel file includes. The same source is built by nvcc, and by any C++ compiler
// against the emulator in tests/cuda/emulator, whose cuda_runtime.h is then found in place of
// CUDA's.
#include <cuda_runtime.h>

#include <cstddef>
#include <string_view>

namespace folio::cuda {

// A T in shared memory, one for the block; a kernel that asks again for the same T gets the same
// one. It holds nothing until it is written; T has no constructor.
template <class T>
__device__ inline T& shared() {
#if defined(CUDA_EMULATOR)
  return *static_cast<T*>(emulator::shared_variable(&emulator::key_of<T>, sizeof(T)));
#else
  __shared__ T variable;
  return variable;
#endif
}

// The shared memory whose size the launch says, sizeof(T) at least; 16-byte aligned.
template <class T>
__device__ inline T& dynamic_shared() {
#if defined(CUDA_EMULATOR)
  return *static_cast<T*>(emulator::dynamic_shared(sizeof(T)));
#else
  extern __shared__ uint4 dynamic_shared_memory[];
  return *reinterpret_cast<T*>(dynamic_shared_memory);
#endif
}

inline constexpr unsigned all_lanes = 0xffffffffu;

struct LaunchShape {
  dim3 grid, block;
  size_t shared_bytes = 0;  // dynamic
};

// Error, naming the kernel, the shape and the status, unless it is cudaSuccess.
void check_launch(cudaError_t status, std::string_view kernel, const LaunchShape& shape);

const cudaDeviceProp& device_properties();  // of the GPU in use

// The most blocks of a grid that starts before the kernel before it has ended: one for each
// multiprocessor, so that, while they wait, they leave room for that kernel's own blocks. 0 where
// the GPU cannot do that (before compute capability 9.0).
unsigned most_early_blocks();

template <class... Parameters, class... Arguments>
void launch_as(bool early, std::string_view name, void (*kernel)(Parameters...),
               const LaunchShape& shape, cudaStream_t stream, Arguments... arguments) {
  cudaError_t status = cudaSuccess;
  if (shape.shared_bytes > size_t{48} << 10)
    status =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, int(shape.shared_bytes));
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = stream;
  config.attrs = &attribute;
  const dim3& grid = shape.grid;
  const bool starts_early = early && uint64_t(grid.x) * grid.y * grid.z <= most_early_blocks();
  config.numAttrs = starts_early ? 1 : 0;
  if (status == cudaSuccess)
    status = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
  check_launch(status, name, shape);
}

// kernel<<<grid, block, shared_bytes, stream>>>(arguments...), with the opt-in that more than 48 KB
// of dynamic shared memory need. `name` is for the Error if it cannot be.
template <class... Parameters, class... Arguments>
void launch(std::string_view name, void (*kernel)(Parameters...), const LaunchShape& shape,
            cudaStream_t stream, Arguments... arguments) {
  launch_as(false, name, kernel, shape, stream, arguments...);
}

// The same for a kernel that begins with after_previous_kernel() (core/cuda/ptx.h): a small grid
// starts while the kernel before it in the stream still runs, so that the way from one to the next,
// most of the time of a chain of small kernels, is shorter.
template <class... Parameters, class... Arguments>
void launch_early(std::string_view name, void (*kernel)(Parameters...), const LaunchShape& shape,
                  cudaStream_t stream, Arguments... arguments) {
  launch_as(true, name, kernel, shape, stream, arguments...);
}

}  // namespace folio::cuda
