#include "core/machine.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/backend.h"

namespace folio {
namespace {

// Reads a buffer larger than anything else here, yet leaves the peak as the process made it.
TEST(Machine, PeaksArePlausibleAndLeaveThePeakMemoryAlone) {
  constexpr size_t bytes = size_t(256) << 20;
  { std::vector<char> touched(bytes, 1); }
  const size_t before = peak_rss_bytes();
  EXPECT_GE(before, bytes);
  const MachinePeak peak = measure_peak();
  EXPECT_GE(peak_rss_bytes(), before);
  EXPECT_LT(peak_rss_bytes(), before + bytes / 4);

  EXPECT_GT(peak.f32_flops, 1e9);
  EXPECT_LT(peak.f32_flops, 1e15);
  EXPECT_GE(peak.bf16_flops, peak.f32_flops);
  EXPECT_LT(peak.bf16_flops, 1e16);
  EXPECT_GE(peak.int8_flops, peak.f32_flops);
  EXPECT_LT(peak.int8_flops, 1e16);
  EXPECT_GT(peak.read_bandwidth, 1e8);
  EXPECT_LT(peak.read_bandwidth, 1e13);
}

TEST(Machine, NamesTheCpuItsThreadsAndTarget) {
  backend(cpu).set_threads(2);
  EXPECT_NE(cpu_model().find(", 2 threads, "), std::string::npos) << cpu_model();
  EXPECT_FALSE(cpu_model().starts_with(","));
  backend(cpu).set_threads(0);
}

}  // namespace
}  // namespace folio
