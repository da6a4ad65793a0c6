// Streams, events, copies and memory behave as CUDA's may at their least convenient.
#include <cuda_runtime.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/cuda/gpu.h"
#include "tests/cuda/device_buffer.h"
#include "tests/cuda/kernels/kernels.h"
#include "tests/cuda/schedules.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

// Pinned memory for one float.
class Pinned {
 public:
  Pinned() {
    void* block;
    EXPECT_EQ(cudaHostAlloc(&block, sizeof(float), cudaHostAllocDefault), cudaSuccess);
    value_ = static_cast<float*>(block);
  }
  ~Pinned() { cudaFreeHost(value_); }
  float& operator*() const { return *value_; }
  float* data() const { return value_; }

 private:
  float* value_;
};

cudaStream_t new_stream() {
  cudaStream_t stream;
  EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  return stream;
}

TEST(EmulatedRuntime, NothingIsDoneBeforeSomebodyWaits) {
  DeviceBuffer<float> x(std::vector<float>{1, 2, 3, 4}), sum(1);
  Pinned result;
  sums_of_four(x.data(), 1, sum.data(), Fault::none, test_stream());
  ASSERT_EQ(cudaMemcpyAsync(result.data(), sum.data(), 4, cudaMemcpyDeviceToHost, test_stream()),
            cudaSuccess);
  EXPECT_TRUE(std::isnan(*result)) << "a wait that is missing shows";
  ASSERT_EQ(cudaStreamSynchronize(test_stream()), cudaSuccess);
  EXPECT_EQ(*result, 10);
}

TEST(EmulatedRuntime, PinnedMemoryIsReadWhenTheStreamGetsThere) {
  DeviceBuffer<float> x(1);
  Pinned value;
  *value = 1;
  ASSERT_EQ(cudaMemcpyAsync(x.data(), value.data(), 4, cudaMemcpyHostToDevice, test_stream()),
            cudaSuccess);
  *value = 2;  // too early
  EXPECT_EQ(x.read(), std::vector<float>{2});
  float pageable = 3;
  ASSERT_EQ(cudaMemcpyAsync(x.data(), &pageable, 4, cudaMemcpyHostToDevice, test_stream()),
            cudaSuccess);
  pageable = 4;
  EXPECT_EQ(x.read(), std::vector<float>{3});
}

TEST(EmulatedRuntime, AStreamWaitsForAnotherOnlyThroughAnEvent) {
  DeviceBuffer<float> x(std::vector<float>{1, 2, 3, 4});
  ASSERT_EQ(cudaStreamSynchronize(test_stream()), cudaSuccess);
  cudaStream_t first = new_stream(), second = new_stream();
  cudaEvent_t event;
  ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
  for (bool waits : {false, true}) {
    DeviceBuffer<float> sum(1);
    Pinned result;
    sums_of_four(x.data(), 1, sum.data(), Fault::none, first);
    ASSERT_EQ(cudaEventRecord(event, first), cudaSuccess);
    if (waits) {
      ASSERT_EQ(cudaStreamWaitEvent(second, event), cudaSuccess);
    }
    ASSERT_EQ(cudaMemcpyAsync(result.data(), sum.data(), 4, cudaMemcpyDeviceToHost, second),
              cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(second), cudaSuccess);
    EXPECT_EQ(std::isnan(*result), !waits);
    ASSERT_EQ(cudaEventSynchronize(event), cudaSuccess);
  }
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(first), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(second), cudaSuccess);
}

TEST(EmulatedRuntime, CopiesInAWrongDirectionOrPastTheEndAreRefused) {
  DeviceBuffer<float> x(64), y(64);
  std::vector<float> host(64);
  auto copy = [](void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(to, from, bytes, kind, test_stream());
  };
  EXPECT_EQ(copy(x.data(), y.data(), 256, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(x.data(), host.data(), 256, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(copy(x.data(), y.data(), 257, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(copy(x.data(), y.data(), 256, cudaMemcpyDeviceToDevice), cudaSuccess);
  EXPECT_EQ(cudaMemcpyAsync(x.data(), y.data(), 256, cudaMemcpyDeviceToDevice, nullptr),
            cudaErrorInvalidResourceHandle)
      << "folio names its stream";
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(EmulatedRuntime, LaunchesThatCudaRefusesAreErrors) {
  auto launch = [](dim3 grid, dim3 block, size_t shared_bytes) {
    void (*nothing)() = [] {};
    cuda::launch("nothing", nothing, {grid, block, shared_bytes}, test_stream());
  };
  EXPECT_NO_THROW(launch(1, 1024, 163 << 10));
  if (!with_tsan) {  // too many threads for it
    EXPECT_NO_THROW(launch(dim3(70000, 1, 1), 1, 0));
  }
  EXPECT_THAT([&] { launch(dim3(2, 65536), dim3(32, 4), 16); },
              ThrowsMessage<Error>("cuda: nothing of 2 x 65536 x 1 blocks of 32 x 4 x 1 threads "
                                   "with 16 bytes shared: invalid configuration argument "
                                   "(cudaErrorInvalidConfiguration)"));
  EXPECT_THROW(launch(0, 32, 0), Error);
  EXPECT_THROW(launch(1, 1025, 0), Error);
  EXPECT_THROW(launch(1, dim3(32, 33), 0), Error);
  EXPECT_THROW(launch(1, dim3(1, 1, 65), 0), Error);
  EXPECT_THROW(launch(1, 32, (163 << 10) + 1), Error);
  EXPECT_EQ(cudaStreamSynchronize(test_stream()), cudaSuccess);
}

TEST(EmulatedRuntime, MoreThan48KBOfSharedMemoryNeedTheOptIn) {
  void (*nothing)(float) = [](float) {};
  cudaLaunchConfig_t config{1, 32, (48 << 10) + 1, test_stream(), nullptr, 0};
  EXPECT_EQ(cudaLaunchKernelEx(&config, nothing, 1.0f), cudaErrorInvalidConfiguration);
  ASSERT_EQ(cudaFuncSetAttribute(reinterpret_cast<const void*>(nothing),
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, 64 << 10),
            cudaSuccess);
  EXPECT_EQ(cudaLaunchKernelEx(&config, nothing, 1.0f), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(test_stream()), cudaSuccess);
}

TEST(EmulatedRuntime, TheNthAllocationFails) {
  const size_t before = emulator::allocated_memory();
  emulator::fail_allocation(2);
  {
    DeviceBuffer<float> first(100);
    EXPECT_EQ(emulator::allocated_memory(), before + 512);
    EXPECT_THAT([] { DeviceBuffer<float>(100); },
                ThrowsMessage<Error>(AllOf(HasSubstr("cudaMalloc of 400 bytes"),
                                           HasSubstr("cudaErrorMemoryAllocation"))));
    DeviceBuffer<float> third(100);
  }
  EXPECT_EQ(emulator::allocated_memory(), before);
  EXPECT_THROW(DeviceBuffer<float>(size_t{1} << 31), Error);
}

TEST(EmulatedRuntime, NewMemoryHoldsNaN) {
  for (float value : DeviceBuffer<float>(1000).read()) EXPECT_TRUE(std::isnan(value));
}

TEST(EmulatedRuntimeDeathTest, TheHostCannotTouchDeviceMemory) {
  DeviceBuffer<float> x(std::vector<float>{1, 2});
  EXPECT_DEATH(
      {
        volatile float value = x.data()[0];
        static_cast<void>(value);
      },
      "");
  EXPECT_DEATH(x.data()[1] = 1, "");
  EXPECT_EQ(x.read(), (std::vector<float>{1, 2}));
}

TEST(EmulatedRuntimeDeathTest, FreedMemoryCannotBeTouched) {
  auto x = std::make_unique<DeviceBuffer<float>>(std::vector<float>{1, 2, 3, 4});
  DeviceBuffer<float> sum(1);
  float* freed = x->data();
  x.reset();
  EXPECT_DEATH(
      {
        sums_of_four(freed, 1, sum.data(), Fault::none, test_stream());
        sum.read();
      },
      "");
}

}  // namespace
}  // namespace folio
