#pragma once
#include "core/cuda/kernels/attention/attention.h"

namespace folio::cuda {

// Attention in plain multiply-adds, for every width of a head and every type. As in attention.h.
template <class E, class F>
void plain_attention(const E* qkv, E* y, F* lse, const AttentionSizes& sizes,
                     const Dropout& dropout, cudaStream_t stream);
// `delta` holds rowsum(dy y).
template <class E, class F>
void plain_attention_grad(const E* dy, const E* qkv, const F* lse, const F* delta, E* dqkv,
                          const AttentionSizes& sizes, const Dropout& dropout, cudaStream_t stream);

}  // namespace folio::cuda
