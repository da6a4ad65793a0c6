// The calls of the CUDA runtime.
#include <cuda_runtime.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include "tests/cuda/emulator/block.h"
#include "tests/cuda/emulator/device_memory.h"
#include "tests/cuda/emulator/emulator.h"
#include "tests/cuda/emulator/stream.h"

namespace folio::emulator {
namespace {

Schedule schedule = Schedule::forward;
uint64_t seed = 1;
cudaError_t last_error = cudaSuccess;
std::map<const void*, size_t> opted_in;  // kernel -> bytes of dynamic shared memory
std::map<const char*, size_t> pinned;    // host memory -> bytes
std::set<CUevent_st*> events;
std::mutex events_mutex;  // held besides the runtime's by who changes them

cudaError_t result(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

bool is_pinned(const void* address, size_t bytes) {
  const char* at = static_cast<const char*>(address);
  auto after = pinned.upper_bound(at);
  if (after == pinned.begin()) return false;
  const auto& [begin, size] = *std::prev(after);
  return at + bytes <= begin + size;
}

// CUDA C++ Programming Guide, "Compute capabilities".
bool can_launch(const cudaLaunchConfig_t& config, const void* kernel) {
  const dim3 &grid = config.gridDim, &block = config.blockDim;
  auto in_range = [](dim3 size, unsigned x, unsigned y, unsigned z) {
    return size.x >= 1 && size.y >= 1 && size.z >= 1 && size.x <= x && size.y <= y && size.z <= z;
  };
  auto most = opted_in.find(kernel);
  return in_range(grid, 0x7fffffffu, 65535, 65535) && in_range(block, 1024, 1024, 64) &&
         block.x * block.y * block.z <= 1024 &&
         config.dynamicSmemBytes <=
             (most == opted_in.end() ? SharedMemory::without_opt_in : most->second);
}

}  // namespace

void use(Schedule schedule, uint64_t seed) {
  emulator::schedule = schedule;
  emulator::seed = seed;
}

void fail_allocation(int nth) { DeviceMemory::get().fail_allocation(nth); }
void take_free_memory() { DeviceMemory::get().take_free(); }
void give_back_memory() { DeviceMemory::get().give_back_taken(); }
size_t allocated_memory() { return DeviceMemory::get().allocated(); }

cudaError_t launch(const cudaLaunchConfig_t& config, const void* kernel,
                   std::function<void()> thread) {
  std::scoped_lock lock(runtime_mutex());
  if (!is_stream(config.stream)) return result(cudaErrorInvalidResourceHandle);
  if (!can_launch(config, kernel)) return result(cudaErrorInvalidConfiguration);
  config.stream->add([config, thread = std::move(thread)] {
    Block block(schedule, seed++);
    block.run_grid(config.gridDim, config.blockDim, config.dynamicSmemBytes, config.numAttrs > 0,
                   thread);
  });
  return cudaSuccess;
}

}  // namespace folio::emulator

using namespace folio::emulator;

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
    case cudaErrorInvalidResourceHandle:
      return "cudaErrorInvalidResourceHandle";
    case cudaErrorNotReady:
      return "cudaErrorNotReady";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
    case cudaErrorNotReady:
      return "device not ready";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
  }
  return "unrecognized error code";
}

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return result(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return result(cudaErrorInvalidDevice);
  *properties = {.name = "emulated",
                 .totalGlobalMem = DeviceMemory::total,
                 .sharedMemPerBlock = SharedMemory::without_opt_in,
                 .sharedMemPerBlockOptin = SharedMemory::most,
                 .major = 9,
                 .minor = 0,
                 .multiProcessorCount = 2,
                 .warpSize = 32};
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  std::scoped_lock lock(runtime_mutex());
  run_everything();
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  std::scoped_lock lock(runtime_mutex());
  *total = DeviceMemory::total;
  *free = DeviceMemory::get().free_bytes();
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** block, size_t bytes) {
  std::scoped_lock lock(runtime_mutex());
  *block = bytes ? DeviceMemory::get().allocate(bytes) : nullptr;
  return result(*block || !bytes ? cudaSuccess : cudaErrorMemoryAllocation);
}

cudaError_t cudaFree(void* block) {
  std::scoped_lock lock(runtime_mutex());
  run_everything();
  return result(!block || DeviceMemory::get().free(block) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaHostAlloc(void** block, size_t bytes, unsigned) {
  std::scoped_lock lock(runtime_mutex());
  auto* memory = new char[bytes];
  std::memset(memory, 0xff, bytes);
  pinned[memory] = bytes;
  *block = memory;
  return cudaSuccess;
}

cudaError_t cudaFreeHost(void* block) {
  std::scoped_lock lock(runtime_mutex());
  run_everything();
  if (pinned.erase(static_cast<char*>(block)) == 0) return result(cudaErrorInvalidValue);
  delete[] static_cast<char*>(block);
  return cudaSuccess;
}

// Pageable memory is read at once, into a buffer of the driver's, and written before the call
// returns; pinned memory when the stream gets there (CUDA Runtime API, "API synchronization
// behavior").
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  std::scoped_lock lock(runtime_mutex());
  if (!is_stream(stream)) return result(cudaErrorInvalidResourceHandle);
  const bool to_device = DeviceMemory::get().holds(to, bytes);
  const bool from_device = DeviceMemory::get().holds(from, bytes);
  if (to_device != (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice) ||
      from_device != (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice))
    return result(cudaErrorInvalidValue);
  const bool pageable = (kind == cudaMemcpyHostToDevice && !is_pinned(from, bytes)) ||
                        (kind == cudaMemcpyDeviceToHost && !is_pinned(to, bytes));
  if (stream->captures() && pageable) return result(cudaErrorStreamCaptureUnsupported);
  if (kind == cudaMemcpyHostToDevice && pageable) {
    auto staged = std::make_shared<std::vector<char>>(bytes);
    std::memcpy(staged->data(), from, bytes);
    stream->add([=] { std::memcpy(to, staged->data(), bytes); });
    return cudaSuccess;
  }
  stream->add([=] { std::memmove(to, from, bytes); });
  if (pageable) stream->run_to(stream->added());
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  std::scoped_lock lock(runtime_mutex());
  if (!is_stream(stream)) return result(cudaErrorInvalidResourceHandle);
  if (!DeviceMemory::get().holds(to, bytes)) return result(cudaErrorInvalidValue);
  stream->add([=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

// Every stream is one that does not wait for the default stream, which folio never uses.
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  std::scoped_lock lock(runtime_mutex());
  if (flags != cudaStreamNonBlocking) return result(cudaErrorInvalidValue);
  *stream = new CUstream_st;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  std::scoped_lock lock(runtime_mutex());
  if (!is_stream(stream)) return result(cudaErrorInvalidResourceHandle);
  stream->run_to(stream->added());
  for (CUevent_st* event : events)
    if (event->stream == stream) event->stream = nullptr;
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  std::scoped_lock lock(runtime_mutex());
  if (!is_stream(stream)) return result(cudaErrorInvalidResourceHandle);
  if (stream->captures()) return result(cudaErrorStreamCaptureUnsupported);
  stream->run_to(stream->added());
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  std::scoped_lock lock(runtime_mutex());
  std::scoped_lock changing(events_mutex);
  *event = *events.insert(new CUevent_st).first;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  std::scoped_lock lock(runtime_mutex());
  std::scoped_lock changing(events_mutex);
  if (events.erase(event) == 0) return result(cudaErrorInvalidResourceHandle);
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  std::scoped_lock lock(runtime_mutex());
  if (!is_stream(stream) || !events.contains(event)) return result(cudaErrorInvalidResourceHandle);
  if (stream->captures()) return result(cudaErrorStreamCaptureUnsupported);
  stream->add([event, record = ++event->records] {
    if (!events.contains(event)) return;
    event->reached = std::chrono::steady_clock::now();
    event->records_reached = record;
  });
  event->stream = stream;
  event->position = stream->added();
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  std::scoped_lock lock(runtime_mutex());
  if (!is_stream(stream) || !events.contains(event)) return result(cudaErrorInvalidResourceHandle);
  stream->add([other = event->stream, position = event->position] {
    if (is_stream(other)) other->run_to(position);
  });
  return cudaSuccess;
}

// Does no work, and answers while another thread waits for some.
cudaError_t cudaEventQuery(cudaEvent_t event) {
  std::scoped_lock lock(events_mutex);
  if (!events.contains(event)) return cudaErrorInvalidResourceHandle;
  return event->records_reached == event->records ? cudaSuccess : cudaErrorNotReady;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  std::scoped_lock lock(runtime_mutex());
  if (!events.contains(event)) return result(cudaErrorInvalidResourceHandle);
  if (event->stream) event->stream->run_to(event->position);
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  std::scoped_lock lock(runtime_mutex());
  if (!events.contains(start) || !events.contains(end))
    return result(cudaErrorInvalidResourceHandle);
  *ms = std::chrono::duration<float, std::milli>(end->reached - start->reached).count();
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  std::scoped_lock lock(runtime_mutex());
  if (value < 0 || size_t(value) > SharedMemory::most) return result(cudaErrorInvalidValue);
  opted_in[kernel] = size_t(value);
  return cudaSuccess;
}
