#pragma once
// The two ways of cached_attention.h. Each appends the call's keys and values first.
#include "core/cuda/kernels/kv_cache/layout.h"
#include "core/cuda/kernels/kv_cache/partial.h"

namespace folio::cuda {

// Whether every chunk has a block of its own, and leaves partial results.
inline bool is_split(const CachedSizes& s) { return s.call.T <= 16 && s.parts() > 1; }

template <class E, class S, class F>
struct CachedCall {
  const E* qkv;
  E* y;
  CachedLayer<S> cache;
  const int32_t* positions;
  Partials<F> partials;
  CachedSizes sizes;
};

template <class E, class S, class F>
void plain_cached_attention(const CachedCall<E, S, F>& call, cudaStream_t stream);

// For heads of which runs_on_tensor_cores says so.
template <class S>
void tensor_cached_attention(const CachedCall<bfloat16, S, float>& call, cudaStream_t stream);

}  // namespace folio::cuda
