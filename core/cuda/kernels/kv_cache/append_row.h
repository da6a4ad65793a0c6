#pragma once
// How a key or a value enters the cache.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/cuda/kernels/attention/attention_head.h"
#include "core/cuda/kernels/kv_cache/layout.h"
#include "core/cuda/kernels/map.h"
#include "core/devices/packed_blocks.h"

namespace folio::cuda {

// What an int8 row is stored with, in the CPU's very numbers (core/cpu/quantize-inl.h): an element
// is the nearest integer to x * inverse. Neither a row of zeros nor one with a number that is not
// finite has any: their integers are 0, and the scale is 0 or NaN.
struct RowScale {
  float inverse, scale;
  bool has_integers;
};

// Of row x [D], by a warp.
template <class E>
__device__ RowScale scale_of_row(const E* x, int D) {
  float largest = 0, not_finite = 0;
  for (int c = int(threadIdx.x) % 32; c < D; c += 32) {
    const auto value = float(x[c]);
    largest = fmaxf(largest, fabsf(value));
    not_finite += value * 0;
  }
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2)
    largest = fmaxf(largest, __shfl_xor_sync(all_lanes, largest, lanes));
  largest += sum_of_warp(not_finite);
  if (largest >= smallest_block) return {127 / largest, largest / 127, true};
  return {0, largest < smallest_block ? 0 : largest, false};
}

// x [D] to a row of the cache, zeros behind it; a warp. `scale` receives the row's under int8.
template <class E, class S>
__device__ void append_row(const E* x, int D, S* to, float* scale) {
  using F = ComputeType<E>;
  constexpr int n = pack_size<S>;
  RowScale row{};
  if constexpr (std::is_same_v<S, int8_t>) {
    row = scale_of_row(x, D);
    if (threadIdx.x % 32 == 0) *scale = row.scale;
  }
  for (int first = int(threadIdx.x) % 32 * n; first < D; first += 32 * n) {
    Pack<S, n> pack;
#pragma unroll
    for (int j = 0; j < n; ++j) {
      const F value = first + j < D ? F(x[first + j]) : F(0);
      if constexpr (std::is_same_v<S, int8_t>)
        pack.at[j] = row.has_integers ? S(rintf(value * row.inverse)) : S(0);
      else
        pack.at[j] = S(value);
    }
    store_pack<n>(to + first, pack);
  }
}

// Keys and values [begin, end) of the call's, of a head, whose first one comes to `position`; a
// block. `from` is the head's first key, `to` what the cache has of the head.
template <class E, class S>
__device__ void append_rows(const E* from, const CachedLayer<S>& to, const CachedSizes& sizes,
                            int position, int begin, int end) {
  const AttentionSizes& s = sizes.call;
  const int warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  for (int i = 2 * begin + warp; i < 2 * end; i += warps) {
    const int t = i / 2, part = i % 2, at = sizes.place(position + t);
    append_row(from + int64_t(t) * s.columns() + part * s.KV * s.D, s.D,
               (part == 0 ? to.k : to.v) + int64_t(at) * cached_width<S>(s.D), to.scale(at, part));
  }
}

// The call's keys and values that belong into a chunk, to be read after a barrier; a block.
template <class E, class S>
__device__ void append_to_chunk(const E* from, const CachedLayer<S>& to, const CachedSizes& sizes,
                                int position, int chunk) {
  const int first = chunk * chunk_keys - position;
  const int T = sizes.call.T;
  append_rows(from, to, sizes, position, first > 0 ? first : 0,
              T < first + chunk_keys ? T : first + chunk_keys);
}

}  // namespace folio::cuda
