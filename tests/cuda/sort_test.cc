#include "core/cuda/kernels/sort.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "tests/cuda/device_buffer.h"
#include "tests/cuda/schedules.h"

namespace folio {
namespace {

// Of one tile and of many, some keys alike.
TEST(CudaSort, PutsKeysInOrder) {
  for (size_t size : {1, 2, 64, 2048, 4096, 16384}) {
    if (with_tsan && size > 64) break;
    std::mt19937 random(static_cast<unsigned>(size));
    std::vector<uint64_t> keys(size);
    for (uint64_t& key : keys) key = uint64_t(random() % 1000) << 40 | random() % 50;
    std::vector<uint64_t> sorted = keys;
    std::ranges::sort(sorted);
    auto expect_sorted = [&] {
      DeviceBuffer<uint64_t> device(keys);
      cuda::sort(device.data(), int64_t(size), test_stream());
      EXPECT_EQ(device.read(), sorted) << size << " keys";
    };
    if (size <= 4096)
      on_every_schedule(expect_sorted);
    else
      expect_sorted();
  }
}

}  // namespace
}  // namespace folio
