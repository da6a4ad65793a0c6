#pragma once
#include <type_traits>

#include "core/cuda/kernels/attention/attention.h"

namespace folio::cuda {

// Attention of bf16 on tensor cores, for heads of a multiple of 8 up to 128. As in attention.h.
constexpr bool runs_on_tensor_cores(const AttentionSizes& s) { return s.D % 8 == 0 && s.D <= 128; }
void tensor_attention(const bfloat16* qkv, bfloat16* y, float* lse, const AttentionSizes& sizes,
                      const Dropout& dropout, cudaStream_t stream);
// `delta` holds rowsum(dy y).
void tensor_attention_grad(const bfloat16* dy, const bfloat16* qkv, const float* lse,
                           const float* delta, bfloat16* dqkv, const AttentionSizes& sizes,
                           const Dropout& dropout, cudaStream_t stream);

// f(std::integral_constant<int, width>()) for the least of 32, 64, 96 and 128 that D fits into.
template <class F>
void visit_head_width(int D, F&& f) {
  if (D <= 32)
    f(std::integral_constant<int, 32>());
  else if (D <= 64)
    f(std::integral_constant<int, 64>());
  else if (D <= 96)
    f(std::integral_constant<int, 96>());
  else
    f(std::integral_constant<int, 128>());
}

}  // namespace folio::cuda
