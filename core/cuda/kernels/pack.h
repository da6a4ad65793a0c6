#pragma once
// Several elements that are read and written as one.
#include <cstdint>

#include "core/bfloat16.h"
#include "core/cuda/gpu.h"

namespace folio::cuda {

template <class T, int n>
struct alignas(sizeof(T) * n) Pack {
  T at[n];
};

// What 16 bytes hold.
template <class T>
inline constexpr int pack_size = 16 / int(sizeof(T));

// `from` is aligned to n elements.
template <int n, class T>
__device__ __forceinline__ Pack<T, n> load_pack(const T* from) {
  return *reinterpret_cast<const Pack<T, n>*>(from);
}
template <int n, class T>
__device__ __forceinline__ void store_pack(T* to, const Pack<T, n>& pack) {
  *reinterpret_cast<Pack<T, n>*>(to) = pack;
}

// Sum over the lanes of a warp; every lane gets it.
template <class F>
__device__ __forceinline__ F sum_of_warp(F x) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(all_lanes, x, lanes);
  return x;
}

}  // namespace folio::cuda
