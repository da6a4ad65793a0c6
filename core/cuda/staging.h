#pragma once
#include <cuda_runtime.h>

#include <array>
#include <cstddef>

namespace folio::cuda {

// A ring of page-locked memory through which the host's bytes go to the device: what is copied from
// such memory needs no wait, and the host may write on as soon as its bytes are in the ring.
class StagingRing {
 public:
  StagingRing();
  ~StagingRing();
  StagingRing(const StagingRing&) = delete;
  StagingRing& operator=(const StagingRing&) = delete;

  // Queues a copy of `bytes` at `host` to the device. Waits only where the ring is full.
  void write(void* device, const void* host, size_t bytes, cudaStream_t stream);

 private:
  static constexpr size_t slot_bytes = size_t{2} << 20;
  struct Slot {
    void* memory = nullptr;
    cudaEvent_t copied = nullptr;  // recorded behind the last copy out of it
  };
  std::array<Slot, 8> slots_;
  size_t next_ = 0;
};

}  // namespace folio::cuda
