#include "core/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "core/backend.h"
#include "core/parallel.h"

namespace folio {
namespace {

TEST(Machine, TheMostMemoryHeldIsTheKernelsOwnCount) {
  constexpr size_t bytes = size_t(256) << 20;
  { std::vector<char> touched(bytes, 1); }
  const size_t most = peak_rss_bytes();
  EXPECT_GE(most, bytes);
  EXPECT_LT(rss_bytes(), most);
  EXPECT_GT(rss_bytes(), 0u);
  backend(cpu)->machine.measure_read_bandwidth();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  EXPECT_EQ(peak_rss_bytes(), size_t(usage.ru_maxrss) * 1024);
  EXPECT_GE(peak_rss_bytes(), most) << "whatever was measured since, it is never set back";
}

// What train measures before its first iteration. In a child, whose count starts anew.
TEST(MachineDeathTest, ThePeakOfMultiplyAddsIsMeasuredInLittleMemory) {
  auto grew_little = [] {
    const size_t before = rss_bytes();
    backend(cpu)->machine.measure_peak();
    return peak_rss_bytes() < before + (size_t(16) << 20);
  };
  EXPECT_EXIT(_exit(grew_little() ? 7 : 1), testing::ExitedWithCode(7), "");
}

TEST(Machine, PeaksArePlausible) {
  MachinePeak peak = backend(cpu)->machine.measure_peak();
  EXPECT_EQ(peak.read_bandwidth, 0) << "is asked for by itself";
  peak.read_bandwidth = backend(cpu)->machine.measure_read_bandwidth();

  EXPECT_GT(peak.f32.flops, 1e9);
  EXPECT_LT(peak.f32.flops, 1e15);
  EXPECT_GE(peak.bf16.flops, peak.f32.flops);
  EXPECT_LT(peak.bf16.flops, 1e16);
  EXPECT_GE(peak.int8.flops, peak.f32.flops);
  EXPECT_LT(peak.int8.flops, 1e16);
  for (const UnitPeak* unit : {&peak.f32, &peak.bf16, &peak.int8})
    EXPECT_THAT(unit->unit, testing::AnyOf(testing::HasSubstr("multiply-adds"),
                                           testing::HasSubstr("products")));
  EXPECT_EQ(&peak.of(DType::bf16), &peak.bf16);
  EXPECT_EQ(&peak.of(DType::f32), &peak.f32);
  EXPECT_GT(peak.read_bandwidth, 1e8);
  EXPECT_LT(peak.read_bandwidth, 1e13);
}

// Prints the target and the fastest units of a process that has used no kernel yet.
[[noreturn]] void tell_under(const char* capability) {
  setenv("FOLIO_CPU_CAPABILITY", capability, 1);
  try {
    Machine& machine = backend(cpu)->machine;
    const std::string name = machine.name();
    const MachinePeak peak = machine.measure_peak();
    fmt::print(stderr, "on {}: {}, {}, {}\n", name.substr(name.rfind(' ') + 1), peak.f32.unit,
               peak.bf16.unit, peak.int8.unit);
  } catch (const Error& error) {
    fmt::print(stderr, "refused: {}\n", error.what());
  }
  _exit(3);
}

TEST(MachineDeathTest, KernelsKeepToTheCapabilityThatIsStated) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // a process of its own
  const auto exits = testing::ExitedWithCode(3);
#if defined(__x86_64__)
  EXPECT_EXIT(tell_under("scalar"), exits,
              "on SCALAR: multiply-adds of single numbers, multiply-adds of single numbers");
  if (__builtin_cpu_supports("avx2")) {
    EXPECT_EXIT(
        tell_under("avx2"), exits,
        "on AVX2: AVX2 multiply-adds, AVX2 multiply-adds, AVX2 (multiply-adds|16-bit products)");
  }
  if (__builtin_cpu_supports("avx512bw")) {
    EXPECT_EXIT(tell_under("avx512"), exits,
                "on AVX3: AVX-512 multiply-adds, AVX-512 multiply-adds, A");
  }
  EXPECT_EXIT(tell_under("AVX9"), exits,
              "refused: FOLIO_CPU_CAPABILITY is AVX9; it may be avx512, avx2_vnni, avx2 or scalar, "
              "or unset");
#else
  EXPECT_EXIT(tell_under("avx2"), exits, "refused: .*this is no x86 processor");
#endif
}

TEST(Machine, NamesTheCpuItsThreadsAndTarget) {
  set_parallel_threads(2);
  EXPECT_NE(backend(cpu)->machine.name().find(", 2 threads, "), std::string::npos)
      << backend(cpu)->machine.name();
  EXPECT_FALSE(backend(cpu)->machine.name().starts_with(","));
  set_parallel_threads(0);
}

}  // namespace
}  // namespace folio
