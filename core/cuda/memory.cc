#include <vector>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/device_pages.h"
#include "core/cuda/recorder.h"
#include "core/cuda/staging.h"
#include "core/cuda/status.h"
#include "core/cuda/stream.h"
#include "core/cuda/visible_gpu.h"
#include "core/devices/allocator.h"

namespace folio {
namespace cuda {

cudaStream_t stream() {
  static const cudaStream_t stream = [] {
    cudaStream_t made = nullptr;
    check_status(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking),
                 "cudaStreamCreateWithFlags");
    return made;
  }();
  return stream;
}

}  // namespace cuda

namespace {

// What is freed may still be in use by work in the stream; whoever gets it next uses it behind
// that.
class CudaMemory final : public Memory {
 public:
  std::shared_ptr<Storage> allocate(size_t bytes) override {
    return (cuda::is_recording() ? recorded_ : allocator_).storage(bytes);
  }

  MemoryUse use() const override {
    MemoryUse use = allocator_.use();
    const MemoryUse recorded = recorded_.use();
    use.live += recorded.live;
    use.peak += recorded.peak;
    use.reserved += recorded.reserved;
    return use;
  }

  void forget_peak() override {
    allocator_.forget_peak();
    recorded_.forget_peak();
  }

  uint64_t available() const override {
    size_t free = 0, total = 0;
    cuda::check_status(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    const MemoryUse now = use();
    return free + now.reserved - now.live;
  }

  void write(const void* host, Array& to) override {
    check(!cuda::is_recording(), "write: a recording takes nothing from the host");
    to.begin_write("write");
    staging_.write(to.address(), host, to.bytes(), cuda::stream());
  }

  // The host cannot write there: through memory of its own.
  void write(const std::function<void(void* host)>& produce, Array& to) override {
    to.begin_write("write");
    std::vector<char> bytes(to.bytes());
    if (!bytes.empty()) produce(bytes.data());
    write(bytes.data(), to);
  }

  void read(const Array& from, void* host) override {
    if (from.size() == 0) return;
    check(!cuda::is_recording(), "read: a recording gives the host nothing");
    cuda::check_status(
        cudaMemcpyAsync(host, from.address(), from.bytes(), cudaMemcpyDeviceToHost, cuda::stream()),
        "a copy of {} bytes to the host", from.bytes());
    cuda::check_status(cudaStreamSynchronize(cuda::stream()), "waiting for the device");
  }

 private:
  CachingAllocator allocator_{std::make_unique<cuda::DevicePages>(0)};
  CachingAllocator recorded_{std::make_unique<cuda::DevicePages>(0)};  // see recorder.h
  cuda::StagingRing staging_;
};

}  // namespace

Memory& cuda_memory() {
  static auto& operations = *[] {
    cuda::take_own_gpu();
    return new CudaMemory;  // outlives every Array, static ones included
  }();
  return operations;
}

}  // namespace folio
