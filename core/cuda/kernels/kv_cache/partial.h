#pragma once
// A query's softmax over one chunk, and how the chunks of a query become one: the same functions
// wherever that is done, each rounding written out (std::fma), so that no compiler chooses another.
#include <cfloat>
#include <cmath>

#include "core/cuda/kernels/kv_cache/layout.h"
#include "core/cuda/ptx.h"

namespace folio::cuda {

template <class F>
inline constexpr F log2_e = F(1.4426950408889634);
// No score is less; unlike -INFINITY it can be taken from any.
template <class F>
inline constexpr F lowest = F(sizeof(F) == 8 ? -DBL_MAX : -FLT_MAX);

__device__ inline float exp2_of(float x) { return exp2_fast(x); }
__device__ inline double exp2_of(double x) { return std::exp2(x); }

// 2^(score factor - largest)
template <class F>
__device__ F probability(F score, F factor, F largest) {
  return exp2_of(std::fma(score, factor, -largest));
}

// Of the chunks so far: the largest score, in units of ln 2, and the sum of 2^(score - largest).
template <class F>
struct Softmax {
  F largest = lowest<F>, sum = 0;

  // What all that is summed so far, and what the next chunk has summed, is multiplied by.
  struct Factors {
    F before, next;

    __device__ F merged(F sum, F of_next) const { return std::fma(of_next, next, sum * before); }
  };
  __device__ Factors add(F next_largest, F next_sum) {
    const F now = std::fmax(largest, next_largest);
    const Factors factors{exp2_of(largest - now), exp2_of(next_largest - now)};
    largest = now;
    sum = factors.merged(sum, next_sum);
    return factors;
  }
};

// Between two kernels: [B, H, T, parts] largest scores and sums, and [..., D] of probabilities
// times values, undivided.
template <class F>
struct Partials {
  F *softmax, *out;

  Partials(F* scratch, const CachedSizes& s)
      : softmax(scratch), out(scratch + int64_t(s.call.B) * s.call.H * s.call.T * s.parts() * 2) {}
  __device__ static int64_t place(const CachedSizes& s, int head, int query, int part) {
    return (int64_t(head) * s.call.T + query) * s.parts() + part;
  }
};

}  // namespace folio::cuda
