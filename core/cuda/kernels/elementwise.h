#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/bfloat16.h"
#include "core/unary_ops.h"

namespace folio::cuda {

// What core/backend/elementwise.h says, on n elements at pointers of the device. T, A and B are any
// of double, float and bfloat16; what is computed is computed in float, or in double where one of
// the types is that.
template <class T>
void unary(Unary op, const T* x, T* y, int64_t n, cudaStream_t stream);
template <class T>
void unary_grad(Unary op, const T* x, const T* dy, T* dx, int64_t n, cudaStream_t stream);
// dx = dx times the slope at x; y, which may be null, receives the value there.
template <class T>
void unary_grad_and_value(Unary op, const T* x, T* dx, T* y, int64_t n, cudaStream_t stream);
template <class A, class B>
void add(const A* a, const B* b, A* y, int64_t n, cudaStream_t stream);  // y may be a
template <class A, class B>
void cast(const A* x, B* y, int64_t n, cudaStream_t stream);
template <class T>
void fill(T* x, double value, int64_t n, cudaStream_t stream);
template <class T>
void scale(T* x, double factor, int64_t n, cudaStream_t stream);
template <class T, class S>
void scale(T* x, const S* factor, int64_t n, cudaStream_t stream);  // of one element

}  // namespace folio::cuda
