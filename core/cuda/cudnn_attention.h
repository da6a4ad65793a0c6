#pragma once
#include "core/cuda/cudnn_plan.h"

namespace folio::cuda {

// The most scratch that a pass may take. On sm_80 and sm_90 a gradient whose sums have one order
// keeps a bf16 [T, T] matrix a head, 2 B H T T bytes: 0.8 GB for GPT-2 124M at 32 x 1024. That is
// less than the logits, which are gone by then, so a step's peak does not rise. (On sm_90 cuDNN
// 9.25 can do without, but its frontend leaves that to an environment variable.)
inline constexpr size_t most_cudnn_workspace = size_t{1} << 30;

inline bool is_usable(const CudnnPlan& plan) {
  return plan.refusal().empty() && plan.workspace() <= most_cudnn_workspace;
}

// 90 for sm_90; the device's.
int device_sm();

// Queues what CudnnPlan says, with a plan made once for each pass and shape. False, and nothing is
// queued, where cuDNN is not there or its plan is not usable; Error where cuDNN fails.
bool cudnn_attention(AttentionPass pass, const AttentionSizes& sizes,
                     const AttentionArrays& arrays);

}  // namespace folio::cuda
