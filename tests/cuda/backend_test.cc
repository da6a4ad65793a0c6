#include "core/backend.h"

#include <gtest/gtest.h>

#include "tests/emulated_backend.h"

namespace folio {
namespace {

TEST(CudaMachine, NamesTheDevice) {
  EXPECT_EQ(backend(emulated_device())->machine.name(), "emulated, 2 multiprocessors, sm_90");
}

// Not how fast an emulator is, but that what is measured is a rate.
TEST(CudaMachine, MeasuresItsPeaks) {
  const MachinePeak peak = backend(emulated_device())->machine.measure_peak();
  EXPECT_GT(peak.f32.flops, 1e6);
  EXPECT_LT(peak.f32.flops, 1e13);
  EXPECT_GE(peak.bf16.flops, peak.f32.flops);
  EXPECT_LT(peak.bf16.flops, 1e13);
  EXPECT_EQ(peak.int8.flops, peak.bf16.flops);
  EXPECT_EQ(peak.read_bandwidth, 0) << "is asked for by itself";
}

TEST(CudaMachine, MeasuresItsBandwidth) {
  const double bandwidth = backend(emulated_device())->machine.measure_read_bandwidth();
  EXPECT_GT(bandwidth, 1e8);
  EXPECT_LT(bandwidth, 1e13);
}

// One seed starts the same model wherever it runs.
TEST(CudaBackend, NormalNumbersAreTheCpus) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    Array on_cpu({1003}, dtype, cpu), on_device({1003}, dtype, emulated_device());
    const RandomStream stream{1337, 2};
    backend(on_cpu)->random.normal(on_cpu, 0.5, 0.02, stream);
    backend(on_device)->random.normal(on_device, 0.5, 0.02, stream);
    std::vector<char> expected(on_cpu.bytes()), drawn(on_cpu.bytes());
    backend(on_cpu)->memory.read(on_cpu, expected.data());
    backend(on_device)->memory.read(on_device, drawn.data());
    EXPECT_EQ(drawn, expected) << fmt::format("{}", dtype);
  }
}

}  // namespace
}  // namespace folio
