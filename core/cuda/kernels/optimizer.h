#pragma once
#include <cuda_runtime.h>

#include <cstdint>
#include <span>

#include "core/bfloat16.h"

namespace folio::cuda {

// n values on the device.
template <class T>
struct Values {
  const T* x;
  int64_t n;
};

// How many sums sum_of_squares leaves: each is one block's.
template <class T>
int64_t squares_of(std::span<const Values<T>> arrays);
// The squares of T (double, float or bfloat16) in parts, in an order that the sizes alone decide.
template <class T>
void sum_of_squares(std::span<const Values<T>> arrays, double* sums, cudaStream_t stream);
// *norm = sqrt(sums[0] + ... + sums[n - 1]).
void root_of_sums(const double* sums, int64_t n, float* norm, cudaStream_t stream);
// *scale = min(1, limit / (*norm + 1e-6)); NaN stays NaN.
void clip_scale(const float* norm, double limit, float* scale, cudaStream_t stream);

// One parameter on the device, with its gradient and moments; all [n].
template <class T>
struct AdamWParameter {
  T* param;
  const T* grad;
  T *m, *v;
  int64_t n;
  double weight_decay;
  bfloat16* rounded = nullptr;  // receives the new values too; may be null
};
struct AdamWFactors {
  double learning_rate, beta1, beta2, eps;
  int64_t step;               // counts from 1
  const float* grad_scale;    // of one element, on the device; null: 1
  const int* skip = nullptr;  // on the device: unless it is 0, nothing is changed; null: 0
};
// Sets *found to 1 if one of the n values is NaN or infinite.
void find_not_finite(const float* x, int64_t n, int* found, cudaStream_t stream);
// One step of every parameter, of double or float, in one launch for up to 256 of them.
template <class T>
void adamw(std::span<const AdamWParameter<T>> parameters, const AdamWFactors& factors,
           cudaStream_t stream);

// A matrix on the device that Muon updates; all [n].
struct MuonMatrix {
  float* param;
  const float* grad;
  float *momentum, *u;
  int64_t n;
  double weight_decay;
  bfloat16* rounded = nullptr;  // as an AdamWParameter's
};
struct MuonFactors {
  double learning_rate, momentum;
  const float* grad_scale;    // as AdamWFactors'
  const int* skip = nullptr;  // too
};
// momentum = factors.momentum momentum + g, u = g + factors.momentum momentum, with g = grad_scale
// grad, for matrices of one size; `sums` receives muon_sums(n) sums of each u's squares.
int64_t muon_sums(int64_t n);
void muon_momentum(std::span<const MuonMatrix> matrices, const MuonFactors& factors, double* sums,
                   cudaStream_t stream);
// x = u / (|u| + eps) for `count` matrices of n elements, of float or bfloat16, by those sums. u
// and x may be the same.
template <class T>
void muon_normalize(const float* u, const double* sums, int64_t n, int64_t count, float eps, T* x,
                    cudaStream_t stream);
// square = a I + b x + c square for `count` matrices [n, n].
template <class T>
void muon_polynomial(const T* x, float a, float b, float c, int64_t n, int64_t count, T* square,
                     cudaStream_t stream);
// param = (1 - learning_rate weight_decay) param - learning_rate factor x, where matrix i has x + i
// n.
template <class T>
void muon_apply(std::span<const MuonMatrix> matrices, const MuonFactors& factors, double factor,
                const T* x, cudaStream_t stream);

// n averages on the device, and what they are averages of.
struct AverageOf {
  float* average;
  const float* x;
  int64_t n;
};
// average += (1 - decay) (x - average), unless *skip is not 0; `skip` may be null.
void average(std::span<const AverageOf> averages, double decay, const int* skip,
             cudaStream_t stream);

}  // namespace folio::cuda
