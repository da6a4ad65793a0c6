#include "core/backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/emulated_backend.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(CudaMachine, NamesTheDevice) {
  EXPECT_EQ(backend(emulated_device())->machine.name(), "emulated, 2 multiprocessors, sm_80");
}

// Not how fast an emulator is, but that what is measured is a rate.
TEST(CudaMachine, MeasuresItsPeaks) {
  const MachinePeak peak = backend(emulated_device())->machine.measure_peak();
  EXPECT_GT(peak.f32_flops, 1e6);
  EXPECT_LT(peak.f32_flops, 1e13);
  EXPECT_GE(peak.bf16_flops, peak.f32_flops);
  EXPECT_LT(peak.bf16_flops, 1e13);
  EXPECT_EQ(peak.int8_flops, peak.bf16_flops);
  EXPECT_EQ(peak.read_bandwidth, 0) << "is asked for by itself";
}

TEST(CudaMachine, MeasuresItsBandwidth) {
  const double bandwidth = backend(emulated_device())->machine.measure_read_bandwidth();
  EXPECT_GT(bandwidth, 1e8);
  EXPECT_LT(bandwidth, 1e13);
}

// What is not there yet says so, and where it is.
TEST(CudaBackend, WhatInferenceNeedsIsRefused) {
  const Device device = emulated_device();
  const Array w = zeros({32, 32}, DType::f32, device), rows = zeros({1}, DType::i32, device);
  KvLayer layer{w, w, w, 8};
  auto expect_refusal = [](auto&& call) {
    EXPECT_THAT(message_of(call), AllOf(HasSubstr("CUDA"), HasSubstr("--device=cpu")));
  };
  expect_refusal([&] { backend(device)->kv_cache.make_layer(1, 8, 32, 2, DType::f32); });
  expect_refusal([&] { backend(device)->kv_cache.attention(w, 2, layer, rows); });
  expect_refusal([&] { backend(device)->kv_cache.copy(layer, 0, layer, 1, 4); });
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
