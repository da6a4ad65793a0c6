#pragma once
#include <string>

#include "core/devices/allocator.h"

namespace folio::cuda {

// A GPU's memory: addresses for all of it are reserved at the start, and memory is put behind them
// as it is asked for (CUDA Driver API, "Virtual memory management").
class DevicePages final : public Pages {
 public:
  explicit DevicePages(int device);
  ~DevicePages() override;  // once nothing uses the memory any more
  DevicePages(const DevicePages&) = delete;
  DevicePages& operator=(const DevicePages&) = delete;

  char* base() const override { return base_; }
  size_t limit() const override { return limit_; }
  std::string grow(size_t end) override;
  // As cudaMalloc gives it; cuBLASLt refuses a workspace that is less.
  size_t alignment() const override { return 256; }

 private:
  bool add(size_t bytes);  // after end_; false if the device has no more

  int device_;
  char* base_ = nullptr;
  size_t limit_ = 0;
  size_t unit_ = 0;  // of what the driver gives
  size_t end_ = 0;   // of what there is memory behind
};

}  // namespace folio::cuda
