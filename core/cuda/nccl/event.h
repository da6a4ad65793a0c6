#pragma once
#include <cuda_runtime.h>

#include "core/cuda/status.h"

namespace folio::cuda {

// A place in a stream's work.
class Event {
 public:
  Event() {
    check_status(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming),
                 "cudaEventCreateWithFlags");
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // Behind all that `stream` has been asked for.
  void record(cudaStream_t stream) {
    check_status(cudaEventRecord(event_, stream), "cudaEventRecord");
  }
  // What `stream` is asked for from now on is done behind it; the host does not wait.
  void hold(cudaStream_t stream) const {
    check_status(cudaStreamWaitEvent(stream, event_, 0), "cudaStreamWaitEvent");
  }
  bool reached() const {
    const cudaError_t status = cudaEventQuery(event_);
    if (status == cudaErrorNotReady) return false;
    check_status(status, "cudaEventQuery");
    return true;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace folio::cuda
