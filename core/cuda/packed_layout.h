#pragma once
#include "core/backend.h"

namespace folio::cuda {

// Where packed weights [N, K] lie, in panels of 32 rows: f32 and f64 as [ceil(N / 32)][K up to a
// multiple of 32][32], bf16 as [ceil(N / 32)][ceil(K / 32)][32 x 32] with PairProduct's order of a
// block (core/cuda/kernels/packed/products.h), int8 and int4 as core/devices/packed_blocks.h says.
// What is past N and K is zero.
PackedWeight pack_weight(const Array& w, WeightFormat format);
// to [rows, K], in f32 (f64 for f64).
void unpack_rows(const PackedWeight& w, const Array& rows, Array& to);

}  // namespace folio::cuda
