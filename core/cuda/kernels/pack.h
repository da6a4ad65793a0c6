#pragma once
// Several elements that are read and written as one.
#include <cstdint>

#include "core/bfloat16.h"
#include "core/cuda/gpu.h"
#include "core/random.h"

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

// Random numbers of the elements of a pack: `number[j]` is that of the j-th.
struct DropoutNumbers {
  std::array<uint32_t, 4> words;

  // Of the pack that begins at element i and lies in one block of Philox, of eight numbers. Where
  // nothing is dropped they are the largest there are.
  __device__ __forceinline__ DropoutNumbers(const Dropout& dropout, int64_t i)
      : words{~0u, ~0u, ~0u, ~0u} {
    if (!dropout.enabled()) return;
    words = dropout.stream.block(uint64_t(i) / 8);
    if (i & 4) words[0] = words[2], words[1] = words[3];
    if (i & 2) words[0] = words[1];
    if (i & 1) words[0] >>= 16;
  }
  __device__ __forceinline__ uint32_t operator[](int j) const {
    return j % 2 ? words[size_t(j) / 2] >> 16 : words[size_t(j) / 2] & 0xffff;
  }
};

// residual + dropout(x) of a pack, worked out in A.
template <class A, int n, class Y, class X>
__device__ __forceinline__ Pack<Y, n> add_dropped(const Pack<Y, n>& residual, const Pack<X, n>& x,
                                                  const DropoutNumbers& numbers, int first,
                                                  uint32_t threshold, A scale) {
  Pack<Y, n> y;
#pragma unroll
  for (int j = 0; j < n; ++j)
    y.at[j] = Y(A(residual.at[j]) + (numbers[first + j] >= threshold ? A(x.at[j]) * scale : A(0)));
  return y;
}

__device__ inline int lane_of_warp() { return int(threadIdx.x) % 32; }  // this thread's

// Sum over the lanes of a warp; every lane gets it.
template <class F>
__device__ __forceinline__ F sum_of_warp(F x) {
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) x += __shfl_xor_sync(all_lanes, x, lanes);
  return x;
}

}  // namespace folio::cuda
