#pragma once
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "core/bfloat16.h"
#include "core/unary_ops.h"
#include "core/weight_format.h"

namespace folio::cuda {

// What core/backend/packed.h says of linear, on pointers of the device: y [rows, N] = act(x [rows,
// K] w^T + bias), w as core/cuda/packed_layout.h says. X is double (of f64 weights), float or
// bfloat16.
template <class X>
struct PackedLinear {
  const X* x;
  const void* w;
  WeightFormat format;
  const void* bias;   // [N], may be null
  bool bias_is_bf16;  // else it is in the type of the sums
  Unary act;
  X* y;
  int64_t rows;
  int N, K;
};
// Bytes of scratch that it needs, 16-byte aligned.
template <class X>
int64_t packed_linear_scratch(WeightFormat format, int64_t rows, int K);
// However many rows there are, an element of y is the sum of as many parts of K as N and K ask for,
// in their order, and each of these one chain.
template <class X>
void packed_linear(const PackedLinear<X>& arguments, void* scratch, cudaStream_t stream);

}  // namespace folio::cuda
