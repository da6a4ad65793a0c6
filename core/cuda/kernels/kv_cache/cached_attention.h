#pragma once
#include "core/cuda/kernels/kv_cache/layout.h"

namespace folio::cuda {

// What core/backend/kv_cache.h says of attention, on pointers of the device. E is double, float or
// bfloat16, and F what sums are kept in: double for double, else float. S is E's own double, or
// float, bfloat16 or int8_t. bfloat16 heads of a multiple of 8 up to 128 run on tensor cores over a
// cache of bfloat16 or int8, all others as plain loops.
//
// Why a row's bits do not depend on the call that computes it: a sequence's keys are cut into
// chunks of 64 that begin at key 0. Of each chunk a row has a largest score, a sum and the values'
// weighted sum, whose order the chunk alone decides; chunks are merged in their order, by one
// function; and nothing that a row does not see is added to it, not even times zero. A few
// queries have a block for each chunk and a second kernel that merges; more have a block that goes
// from chunk to chunk and does the same in registers. How many blocks there are depends on the
// shapes, the window and the room in the cache: positions are read on the device alone. The queries
// of heads that share keys are rows of one block.
template <class E, class S, class F>
void cached_attention(const E* qkv, const CachedLayer<S>& cache, const int32_t* positions,
                      F* scratch, E* y, const CachedSizes& sizes, cudaStream_t stream);
// Of F.
int64_t cached_attention_scratch(const CachedSizes& sizes);

}  // namespace folio::cuda
