#include "core/cuda/staging.h"

#include <algorithm>
#include <cstring>

#include "core/cuda/status.h"

namespace folio::cuda {

StagingRing::StagingRing() {
  for (Slot& slot : slots_) {
    check_status(cudaHostAlloc(&slot.memory, slot_bytes, cudaHostAllocDefault),
                 "cudaHostAlloc of {} bytes", slot_bytes);
    check_status(cudaEventCreateWithFlags(&slot.copied, cudaEventDisableTiming),
                 "cudaEventCreateWithFlags");
  }
}

StagingRing::~StagingRing() {
  for (const Slot& slot : slots_) {
    cudaEventDestroy(slot.copied);
    cudaFreeHost(slot.memory);
  }
}

void StagingRing::write(void* device, const void* host, size_t bytes, cudaStream_t stream) {
  for (size_t done = 0; done < bytes;) {
    const size_t part = std::min(slot_bytes, bytes - done);
    const Slot& slot = slots_[next_];
    next_ = (next_ + 1) % slots_.size();
    check_status(cudaEventSynchronize(slot.copied), "waiting for a copy to the device");
    std::memcpy(slot.memory, static_cast<const char*>(host) + done, part);
    check_status(cudaMemcpyAsync(static_cast<char*>(device) + done, slot.memory, part,
                                 cudaMemcpyHostToDevice, stream),
                 "a copy of {} bytes to the device", part);
    check_status(cudaEventRecord(slot.copied, stream), "cudaEventRecord");
    done += part;
  }
}

}  // namespace folio::cuda
