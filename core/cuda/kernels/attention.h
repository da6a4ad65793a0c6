#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/bfloat16.h"
#include "core/random.h"

namespace folio::cuda {

struct AttentionSizes {
  int B, T, H, D;  // D: the width of a head

  constexpr int C() const { return H * D; }
};

// What core/backend.h says of attention, on pointers of the device: qkv [B, T, 3C], y [B, T, C] and
// lse [B, H, T]. E is double, float or bfloat16, and F what sums are kept in: double for double,
// else float. bfloat16 heads of a multiple of 8 up to 128 run on tensor cores (Dao,
// "FlashAttention-2", 2023), all others as plain loops over tiles in shared memory.
template <class E, class F>
void attention(const E* qkv, E* y, F* lse, const AttentionSizes& sizes, const Dropout& dropout,
               cudaStream_t stream);

// dqkv [B, T, 3C] from dy [B, T, C]; delta [B, H, T] is scratch. One pass gives dq, another dk and
// dv, so that no two blocks add to the same number.
template <class E, class F>
void attention_grad(const E* dy, const E* qkv, const E* y, const F* lse, F* delta, E* dqkv,
                    const AttentionSizes& sizes, const Dropout& dropout, cudaStream_t stream);

}  // namespace folio::cuda
