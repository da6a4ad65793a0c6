#include "core/cuda/device_pages.h"

#include <cuda.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "core/devices/allocator.h"
#include "tests/cuda/device_buffer.h"
#include "tests/cuda/emulator/emulator.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

constexpr size_t megabyte = size_t{1} << 20;

TEST(DevicePages, BlocksOfTheCacheHoldWhatIsCopiedIntoThem) {
  const size_t before = emulator::allocated_memory();
  {
    CachingAllocator allocator(std::make_unique<cuda::DevicePages>(0));
    const std::vector<float> values(3 * megabyte / 4, 2.0f);  // over the bounds of two steps
    std::vector<float> read(values.size());
    void* blocks[3];
    for (void*& block : blocks) block = allocator.allocate(values.size() * 4);
    for (void* block : blocks) {
      ASSERT_EQ(cudaMemcpyAsync(block, values.data(), values.size() * 4, cudaMemcpyHostToDevice,
                                test_stream()),
                cudaSuccess);
      ASSERT_EQ(cudaMemcpyAsync(read.data(), block, values.size() * 4, cudaMemcpyDeviceToHost,
                                test_stream()),
                cudaSuccess);
      EXPECT_EQ(read, values);
    }
    EXPECT_EQ(emulator::allocated_memory() - before, 10 * megabyte) << "9 MB in steps of 2";
    for (void* block : blocks) allocator.free(block);
    EXPECT_EQ(allocator.allocate(9 * megabyte), blocks[0]) << "freed blocks merge";
    EXPECT_EQ(emulator::allocated_memory() - before, 10 * megabyte);
  }
  EXPECT_EQ(emulator::allocated_memory(), before) << "all of it is given back";
}

TEST(DevicePages, OutOfMemorySaysWhatIsInUseAndWhatToLower) {
  CachingAllocator allocator(std::make_unique<cuda::DevicePages>(0));
  void* block = allocator.allocate(megabyte);
  EXPECT_THAT([&] { allocator.allocate(size_t{5} << 30); },
              ThrowsMessage<Error>(AllOf(HasSubstr("5368709120 bytes asked for"),
                                         HasSubstr("1048576 in use"), HasSubstr("batch_size"))));
  emulator::fail_allocation(1);  // the step; a single unit is still to be had
  EXPECT_NO_THROW(allocator.allocate(2 * megabyte));
  EXPECT_EQ(allocator.use().live, 3 * megabyte);
  allocator.free(block);
}

TEST(DevicePages, OutOfMemoryCountsWhatOtherProgramsHold) {
  CachingAllocator allocator(std::make_unique<cuda::DevicePages>(0));
  allocator.allocate(megabyte);
  emulator::take_free_memory();
  EXPECT_THAT([&] { allocator.allocate(2 * megabyte); },
              ThrowsMessage<Error>(HasSubstr("2097152 bytes asked for, 1048576 in use, and 0 left "
                                             "of the 4294967296 of cuda")));
  emulator::give_back_memory();
  EXPECT_NO_THROW(allocator.allocate(2 * megabyte));
}

TEST(DevicePagesDeathTest, WhatIsNotHandedOutByTheDriverCannotBeTouched) {
  cuda::DevicePages pages(0);
  ASSERT_EQ(pages.grow(1), "");
  EXPECT_EQ(cudaMemsetAsync(pages.base(), 0, 2 * megabyte, test_stream()), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(pages.base(), 0, 2 * megabyte + 1, test_stream()),
            cudaErrorInvalidValue);
  EXPECT_EQ(cudaStreamSynchronize(test_stream()), cudaSuccess);
  EXPECT_DEATH(pages.base()[0] = 1, "");
}

}  // namespace
}  // namespace folio
