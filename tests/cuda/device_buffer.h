#pragma once
#include <cuda_runtime.h>

#include <span>
#include <vector>

#include "core/cuda/status.h"

namespace folio {

// The stream of the tests.
inline cudaStream_t test_stream() {
  static cudaStream_t stream = [] {
    cudaStream_t made;
    cuda::check_status(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "a stream");
    return made;
  }();
  return stream;
}

// Device memory for n of T.
template <class T>
class DeviceBuffer {
 public:
  explicit DeviceBuffer(size_t n) : n_(n) {
    void* block;
    cuda::check_status(cudaMalloc(&block, n * sizeof(T)), "cudaMalloc of {} bytes", n * sizeof(T));
    data_ = static_cast<T*>(block);
  }
  explicit DeviceBuffer(std::span<const T> values) : DeviceBuffer(values.size()) {
    cuda::check_status(cudaMemcpyAsync(data_, values.data(), values.size_bytes(),
                                       cudaMemcpyHostToDevice, test_stream()),
                       "a copy to the device");
  }
  explicit DeviceBuffer(const std::vector<T>& values) : DeviceBuffer(std::span<const T>(values)) {}
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer() { cudaFree(data_); }

  T* data() const { return data_; }
  // Waits for the stream.
  std::vector<T> read() const {
    std::vector<T> values(n_);
    cuda::check_status(cudaMemcpyAsync(values.data(), data_, n_ * sizeof(T), cudaMemcpyDeviceToHost,
                                       test_stream()),
                       "a copy to the host");
    cuda::check_status(cudaStreamSynchronize(test_stream()), "cudaStreamSynchronize");
    return values;
  }

 private:
  T* data_ = nullptr;
  size_t n_;
};

}  // namespace folio
