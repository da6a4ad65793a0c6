// That cuDNN has plans for what folio trains, on GPUs that need not be there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/cuda/cudnn_attention.h"
#include "tests/message.h"

extern int loading_status;  // driver.cc

namespace folio {
namespace {

using cuda::AttentionPass;
using cuda::AttentionSizes;
using cuda::CudnnPlan;
using cuda::PlanTarget;
using testing::AllOf;
using testing::HasSubstr;

struct Gpu {
  std::string name;
  int sm, multiprocessors, shared_bytes;
  int64_t memory;
  int l2_bytes;
};

// cuDNN's description of it, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION.
std::string description_of(const Gpu& gpu) {
  return fmt::format(
      R"({{"deviceName": "{}", "deviceVer": {}, "multiProcessorCount": {},
      "maxSharedMemoryPerBlockOptin": {}, "totalGlobalMem": {}, "l2CacheSize": {},
      "maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64],
      "regsPerBlock": 65536, "warpSize": 32, "maxSharedMemoryPerBlock": 49152,
      "reservedSharedMemoryPerBlock": 1024, "maxRegistersPerSM": 65536, "maxCtasPerSM": 32,
      "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048, "pciDeviceId": 0, "isTccDriver": 0,
      "supportCoopLaunch": 1, "smClockRateKHz": 1410000, "memClockRateKHz": 1512000,
      "cudaDeviceId": 0, "driverVer": 13000}})",
      gpu.name, 10 * gpu.sm, gpu.multiprocessors, gpu.shared_bytes, gpu.memory, gpu.l2_bytes);
}

// NVIDIA's figures.
PlanTarget target_of(int sm) {
  constexpr int64_t GB = 1'000'000'000;
  const Gpu gpu = sm == 80   ? Gpu{"A100", 80, 108, 163 << 10, 80 * GB, 40 << 20}
                  : sm == 90 ? Gpu{"H100", 90, 132, 227 << 10, 80 * GB, 50 << 20}
                             : Gpu{"B200", 100, 148, 227 << 10, 180 * GB, 126 << 20};
  return {sm, description_of(gpu)};
}

class CudnnPlans : public testing::Test {
 protected:
  void SetUp() override {
    if (!cuda::why_no_cudnn().empty()) GTEST_SKIP() << cuda::why_no_cudnn();
  }
};

void expect_usable(AttentionPass pass, const AttentionSizes& sizes) {
  for (int sm : {80, 90, 100}) {
    const CudnnPlan plan(pass, sizes, target_of(sm));
    EXPECT_EQ(plan.refusal(), "");
    EXPECT_LE(plan.workspace(), cuda::most_cudnn_workspace) << "sm_" << sm;
    EXPECT_TRUE(is_usable(plan));
  }
}

constexpr AttentionSizes gpt2{32, 1024, 12, 64}, characters{64, 256, 6, 64};

TEST_F(CudnnPlans, Gpt2) { expect_usable(AttentionPass::forward, gpt2); }
TEST_F(CudnnPlans, Gpt2Gradient) { expect_usable(AttentionPass::grad, gpt2); }
TEST_F(CudnnPlans, Characters) { expect_usable(AttentionPass::forward, characters); }
TEST_F(CudnnPlans, CharactersGradient) { expect_usable(AttentionPass::grad, characters); }

// Lengths and widths that fill no tile: the ends of what attention.cc asks cuDNN for.
TEST_F(CudnnPlans, OddShapes) {
  for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::grad})
    for (const AttentionSizes& sizes : {AttentionSizes{1, 33, 1, 8}, AttentionSizes{3, 7, 5, 40},
                                        AttentionSizes{2, 1025, 2, 128}})
      expect_usable(pass, sizes);
}

TEST_F(CudnnPlans, WhatTakesTooMuchScratchIsNotUsed) {
  const AttentionSizes large{64, 1024, 12, 64};
  const CudnnPlan plan(AttentionPass::grad, large, target_of(80));
  EXPECT_EQ(plan.refusal(), "");
  EXPECT_GT(plan.workspace(), cuda::most_cudnn_workspace);
  EXPECT_FALSE(is_usable(plan));
}

TEST_F(CudnnPlans, AShapeWithoutAPlanIsRefused) {
  for (const AttentionSizes& sizes : {AttentionSizes{2, 1, 2, 64}, AttentionSizes{2, 64, 2, 20}}) {
    const CudnnPlan plan(AttentionPass::grad, sizes, target_of(90));
    EXPECT_THAT(plan.refusal(),
                HasSubstr(fmt::format("gradient in bf16, B 2, T {}, H 2, D {}", sizes.T, sizes.D)));
    EXPECT_FALSE(is_usable(plan));
    EXPECT_EQ(message_of([&] { plan.run({}, nullptr, nullptr); }), "cuda: " + plan.refusal());
  }
}

TEST_F(CudnnPlans, AFailureIsAnErrorThatNamesCallShapeAndStatus) {
  loading_status = 2;  // CUDA_ERROR_OUT_OF_MEMORY
  EXPECT_THAT(
      message_of([] {
        CudnnPlan(AttentionPass::forward, {2, 80, 3, 64}, target_of(90));
      }),
      AllOf(HasSubstr("cuDNN's build_plans of attention in bf16, B 2, T 80, H 3, D 64, on sm_90"),
            HasSubstr("CUDNN_STATUS_EXECUTION_FAILED_CUDA_DRIVER"),
            HasSubstr("(GRAPH_EXECUTION_PLAN_CREATION_FAILED)"),
            HasSubstr("folio's own kernels run")));
  loading_status = 0;
  EXPECT_THAT(message_of([] {
                CudnnPlan(AttentionPass::forward, {2, 80, 3, 64}, {90, "not JSON"});
              }),
              AllOf(HasSubstr("cuDNN's deserialize of a GPU described as not JSON"),
                    HasSubstr("CUDNN_STATUS")));
}

}  // namespace
}  // namespace folio
