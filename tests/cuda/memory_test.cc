#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/staging.h"
#include "core/cuda/stream.h"
#include "tests/cuda/device_buffer.h"

namespace folio {
namespace {

// More than the ring holds: slots are used again, each only once its copy is done.
TEST(StagingRing, WhatIsWrittenArrivesHoweverMuchItIs) {
  cuda::StagingRing ring;
  std::vector<int32_t> values(5'300'001);  // 21.2 MB through 4 slots of 4 MiB
  std::iota(values.begin(), values.end(), 0);
  DeviceBuffer<int32_t> buffer(values.size());
  ring.write(buffer.data(), values.data(), values.size() * sizeof(int32_t), test_stream());
  const std::vector<int32_t> expected = values;
  std::fill(values.begin(), values.end(), -1);  // the ring has them
  EXPECT_EQ(buffer.read(), expected);
}

TEST(StagingRing, TheHostsBytesMayChangeAtOnce) {
  cuda::StagingRing ring;
  DeviceBuffer<float> a(3), b(3);
  std::vector<float> values{1, 2, 3};
  ring.write(a.data(), values.data(), 12, test_stream());
  values = {4, 5, 6};
  ring.write(b.data(), values.data(), 12, test_stream());
  values = {7, 8, 9};
  EXPECT_EQ(a.read(), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(b.read(), (std::vector<float>{4, 5, 6}));
}

}  // namespace
}  // namespace folio
