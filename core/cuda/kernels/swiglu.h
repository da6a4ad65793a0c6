#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/bfloat16.h"

namespace folio::cuda {

// What core/backend/elementwise.h says of swiglu, on pointers of the device: x [rows, 2 F] and y
// [rows, F]. T is double, float or bfloat16.
template <class T>
void swiglu(const T* x, T* y, int64_t rows, int64_t F, cudaStream_t stream);
// dx [rows, 2 F] from dy [rows, F]; y receives swiglu(x) unless it is null.
template <class T>
void swiglu_grad(const T* x, const T* dy, T* dx, T* y, int64_t rows, int64_t F,
                 cudaStream_t stream);

}  // namespace folio::cuda
