#pragma once
#include "core/cuda/kernels/kv_cache/layout.h"

namespace folio::cuda {

// The keys and values in qkv [B, T, columns] into the cache, those of sequence b from positions[b]
// on.
template <class E, class S>
void append_to_cache(const E* qkv, const CachedLayer<S>& cache, const int32_t* positions,
                     const CachedSizes& sizes, cudaStream_t stream);

// For each of `heads`, which have `from_chunks` and `to_chunks` of chunk_bytes each, a multiple of
// 16: chunks [first, first + count), each from where its number modulo from_chunks says to where
// its number modulo to_chunks does.
void copy_chunks(const void* from, int from_chunks, void* to, int to_chunks, int heads,
                 int64_t chunk_bytes, int first, int count, cudaStream_t stream);

}  // namespace folio::cuda
