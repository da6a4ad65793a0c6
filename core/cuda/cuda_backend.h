#pragma once
#include "core/backend.h"

namespace folio {

// CUDA's implementation of the contract in core/backend.h: each group in the source of its name,
// its kernels in core/cuda/kernels/. All of it is queued in one stream (core/cuda/stream.h); the
// host waits only for what it reads. Sums are taken in orders that the shapes alone decide.
Memory& cuda_memory();
ElementwiseOps& cuda_elementwise();
BroadcastOps& cuda_broadcast();
LayoutOps& cuda_layout();
RandomOps& cuda_random();
ReductionOps& cuda_reductions();
RowOps& cuda_rows();
NormOps& cuda_norms();
ProductOps& cuda_products();
EmbeddingOps& cuda_embeddings();
RotaryOps& cuda_rotary();
AttentionOps& cuda_attention();
LossOps& cuda_losses();
OptimizerOps& cuda_optimizer();
PackedOps& cuda_packed();
KvCacheOps& cuda_kv_cache();
SamplingOps& cuda_sampling();
Recorder& cuda_recorder();
Machine& cuda_machine();

// All of them; the device is CUDA's first, which every thread is on from its start.
Backend& cuda_backend();

}  // namespace folio
