#pragma once
#include "core/backend.h"

namespace folio {

// The CPU's implementation of the contract in core/backend.h: each group in the .cc file of its
// name. Results do not depend on the number of threads.
Memory& cpu_memory();
ElementwiseOps& cpu_elementwise();
BroadcastOps& cpu_broadcast();
LayoutOps& cpu_layout();
RandomOps& cpu_random();
ReductionOps& cpu_reductions();
RowOps& cpu_rows();
NormOps& cpu_norms();
ProductOps& cpu_products();
EmbeddingOps& cpu_embeddings();
RotaryOps& cpu_rotary();
AttentionOps& cpu_attention();
LossOps& cpu_losses();
OptimizerOps& cpu_optimizer();
PackedOps& cpu_packed();
KvCacheOps& cpu_kv_cache();
SamplingOps& cpu_sampling();
Recorder& cpu_recorder();
Machine& cpu_machine();

}  // namespace folio
