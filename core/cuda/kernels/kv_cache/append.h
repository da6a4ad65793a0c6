#pragma once
#include "core/cuda/kernels/kv_cache/layout.h"

namespace folio::cuda {

// The keys and values in qkv [B, T, 3C] into the cache, those of sequence b from positions[b] on.
template <class E, class S>
void append_to_cache(const E* qkv, const CachedLayer<S>& cache, const int32_t* positions,
                     const CachedSizes& sizes, cudaStream_t stream);

// For each of `heads`, the first `bytes` of what begins every `from_stride` bytes, to what begins
// every `to_stride` bytes. All are multiples of 16.
void copy_heads(const void* from, int64_t from_stride, void* to, int64_t to_stride, int heads,
                int64_t bytes, cudaStream_t stream);

}  // namespace folio::cuda
