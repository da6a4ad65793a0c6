#pragma once
#include "core/backend.h"
#include "core/cuda/kernels/attention/attention.h"

namespace folio {

// cuda_attention() without cuDNN, by folio's kernels alone, so that tests and benchmarks can
// compare the two. Both save the same lse: what one has attended, the other's gradient takes.
AttentionOps& cuda_attention_kernels();

namespace cuda {

// Whether cuDNN is asked first, on sm_80 or newer: for heads of which it has plans on every such
// GPU. That it is then faster than folio's kernels is expected; it has not been measured on one.
bool is_for_cudnn(DType dtype, const AttentionSizes& sizes, const Dropout& dropout, int sm);

}  // namespace cuda
}  // namespace folio
