#pragma once
#include <cuda_runtime.h>

#include <climits>
#include <cstdint>

#include "core/bfloat16.h"
#include "core/random.h"

namespace folio::cuda {

struct AttentionSizes {
  int B, T, H, D;  // D: the width of a head
  int KV = H;      // heads of keys and of values
  int window = 0;  // 0: all positions before

  constexpr int C() const { return H * D; }
  constexpr int columns() const { return (H + 2 * KV) * D; }  // of qkv
  constexpr int shared() const { return H / KV; }             // query heads for one of keys
  // A query sees the keys of which it is less than this many positions further.
  constexpr int span() const { return window > 0 ? window : INT_MAX; }
  constexpr bool sees(int query, int key) const { return unsigned(query - key) < unsigned(span()); }
  // The first position that a query sees, and what is behind the last one that sees a key.
  constexpr int first_seen(int query) const {
    return window > 0 && query >= window ? query - window + 1 : 0;
  }
  constexpr int past_seeing(int key) const {
    return window > 0 && key < T - window ? key + window : T;
  }
};

// What core/backend/attention.h says, on pointers of the device: qkv [B, T, columns], y [B, T, C]
// and lse [B, H, T]. E is double, float or bfloat16, and F what sums are kept in: double for
// double, else float. bfloat16 heads of a multiple of 8 up to 128 run on tensor cores (Dao,
// "FlashAttention-2", 2023), all others as plain loops over tiles in shared memory.
template <class E, class F>
void attention(const E* qkv, E* y, F* lse, const AttentionSizes& sizes, const Dropout& dropout,
               cudaStream_t stream);

// dqkv [B, T, columns] from dy [B, T, C]; delta [B, H, T] is scratch. One pass gives dq, another dk
// and dv, whose blocks go through the query heads of their keys one after the other, so that no two
// blocks add to the same number.
template <class E, class F>
void attention_grad(const E* dy, const E* qkv, const E* y, const F* lse, F* delta, E* dqkv,
                    const AttentionSizes& sizes, const Dropout& dropout, cudaStream_t stream);

}  // namespace folio::cuda
