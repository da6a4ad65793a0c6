#pragma once
#include <cuda_runtime.h>

#include <memory>
#include <string>

#include "core/cuda/kernels/attention/attention.h"

namespace folio::cuda {

// Why this process cannot use cuDNN; empty where it can. cuDNN is opened when it is first asked
// for, not linked, so that folio starts on a machine without it and attention runs by folio's own
// kernels.
const std::string& why_no_cudnn();

enum class AttentionPass { forward, grad };

// The GPU that a plan is for: sm is 90 for sm_90. Without a description it is the current device;
// with one, cuDNN's own in JSON, no device is needed to make a plan, but none can run it.
struct PlanTarget {
  int sm = 0;
  std::string description;
};

// The arrays of a pass, as AttentionOps has them: qkv and dqkv [B, T, 3C], y and dy [B, T, C],
// lse [B, H, T]. Forward has no dy and no dqkv.
struct AttentionArrays {
  bfloat16* qkv = nullptr;
  bfloat16* y = nullptr;  // which forward writes, as it does lse
  float* lse = nullptr;
  bfloat16* dy = nullptr;
  bfloat16* dqkv = nullptr;  // written
};

// How cuDNN computes causal attention without dropout, or its gradient, in bfloat16 for one shape:
// over qkv as it lies in memory, and with sums in an order that the shape and the GPU decide. Only
// where why_no_cudnn() is empty.
class CudnnPlan {
 public:
  // Error, naming call, shape and status, where cuDNN fails; a shape for which it has no plan is
  // not a failure but a refusal.
  CudnnPlan(AttentionPass pass, const AttentionSizes& sizes, const PlanTarget& target);
  ~CudnnPlan();
  CudnnPlan(const CudnnPlan&) = delete;
  CudnnPlan& operator=(const CudnnPlan&) = delete;

  // What cuDNN says against the shape; empty where it has a plan.
  const std::string& refusal() const { return refusal_; }
  // Bytes of scratch that run() needs.
  size_t workspace() const { return workspace_; }
  // Not by two threads at once: all plans share a handle. The arrays start at multiples of 16
  // bytes.
  void run(const AttentionArrays& arrays, void* workspace, cudaStream_t stream) const;

 private:
  struct Graph;
  std::string what_;  // pass and shape, for Errors
  int64_t C_;
  std::unique_ptr<Graph> graph_;
  std::string refusal_;
  size_t workspace_ = 0;
};

}  // namespace folio::cuda
