#pragma once
// The products of packed_linear.h, by a warp: a panel of 32 rows of w by a group of 8 rows of x, a
// step of `depth` elements of k at a time. With few rows a warp has the weights of up to `ahead`
// steps under way, and multiplies them by up to `most_groups` groups: what registers hold. What a
// lane reads for a step lies together: w in steps [panel][k][weight_bytes], x, once it is prepared,
// in steps [group][k][x_bytes].
#include <bit>
#include <cmath>
#include <limits>

#include "core/cuda/kernels/pack.h"
#include "core/cuda/ptx.h"
#include "core/devices/packed_blocks.h"

namespace folio::cuda {

inline constexpr int panel_rows = int(block_size), group_rows = 8;

// A lane's 8 of the 32 x 8 sums: [i][j] is of row 4 g + 2 i + j / 2 of w and row 2 t + j % 2 of x,
// where g = lane / 4 and t = lane % 4.
template <class T>
struct Sums {
  T at[2][4] = {};
};
__device__ inline int row_of_panel(int i, int j) { return lane_of_warp() / 4 * 4 + 2 * i + j / 2; }
__device__ inline int row_of_group(int j) { return lane_of_warp() % 4 * 2 + j % 2; }

// x [rows, K] as it was given.
template <class X>
struct Rows {
  const X* at;
  int64_t rows;
  int K;
  bool in_packs;  // K is a multiple of 8, and `at` of 16 bytes
};

// to = x[row][k ... k + n), zeros past its ends; k is a multiple of n.
template <class T, int n, class X>
__device__ __forceinline__ void read_row(T (&to)[n], const Rows<X>& x, int64_t row, int k) {
  constexpr int in_pack = n < pack_size<X> ? n : pack_size<X>;
#pragma unroll
  for (int i = 0; i < n; ++i) to[i] = 0;
  if (row >= x.rows || k >= x.K) return;
  const X* from = x.at + row * x.K + k;
  if (x.in_packs) {
#pragma unroll
    for (int i = 0; i < n; i += in_pack) {
      const auto pack = load_pack<in_pack>(from + i);
#pragma unroll
      for (int j = 0; j < in_pack; ++j) to[i + j] = T(pack.at[j]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < n; ++i)
      if (k + i < x.K) to[i] = T(from[i]);
  }
}

template <int words>
__device__ __forceinline__ void copy_words(uint32_t (&to)[words], const void* from) {
  const auto pack = load_pack<words>(static_cast<const uint32_t*>(from));
#pragma unroll
  for (int i = 0; i < words; ++i) to[i] = pack.at[i];
}

// f32, and f64 for tests: one chain of multiply-adds.
template <class T>
struct PlainProduct {
  using Sum = T;
  static constexpr int depth = 32 / int(sizeof(T));
  static constexpr int ahead = 1, most_groups = 2;
  static constexpr int weight_bytes = panel_rows * 32;  // [depth][32]
  static constexpr int x_bytes = group_rows * 32;       // [8][depth]
  struct Weights {
    T at[depth][4];
  };
  struct Activations {
    T at[2][depth];
  };

  __device__ static Weights load(const std::byte* step) {
    Weights w;
    const T* from = reinterpret_cast<const T*>(step) + lane_of_warp() / 4 * 4;
#pragma unroll
    for (int k = 0; k < depth; ++k)
#pragma unroll
      for (int i = 0; i < 4; i += pack_size<T>) {
        const auto pack = load_pack<pack_size<T>>(from + k * panel_rows + i);
#pragma unroll
        for (int j = 0; j < pack_size<T>; ++j) w.at[k][i + j] = pack.at[j];
      }
    return w;
  }
  __device__ static const Weights& unpacked(const Weights& w) { return w; }

  template <class X>
  __device__ static Activations read(const Rows<X>& x, int64_t group, int k) {
    Activations a;
#pragma unroll
    for (int c = 0; c < 2; ++c) read_row(a.at[c], x, group * group_rows + row_of_group(c), k);
    return a;
  }
  __device__ static void store(const Activations& a, std::byte* step) {
    if (lane_of_warp() >= 4) return;  // the others hold the same rows
    T* to = reinterpret_cast<T*>(step);
#pragma unroll
    for (int c = 0; c < 2; ++c)
#pragma unroll
      for (int k = 0; k < depth; ++k) to[row_of_group(c) * depth + k] = a.at[c][k];
  }
  __device__ static Activations load_x(const std::byte* step) {
    Activations a;
#pragma unroll
    for (int c = 0; c < 2; ++c)
#pragma unroll
      for (int k = 0; k < depth; k += pack_size<T>) {
        const T* from = reinterpret_cast<const T*>(step) + row_of_group(c) * depth + k;
        const auto pack = load_pack<pack_size<T>>(from);
#pragma unroll
        for (int j = 0; j < pack_size<T>; ++j) a.at[c][k + j] = pack.at[j];
      }
    return a;
  }

  __device__ static void multiply(Sums<T>& sums, const Weights& w, const Activations& x) {
#pragma unroll
    for (int k = 0; k < depth; ++k)
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sums.at[i][j] = std::fma(w.at[k][2 * i + j / 2], x.at[j % 2][k], sums.at[i][j]);
  }
};

// bf16 on tensor cores. A lane's 16 bytes of w are the registers of one instruction,
// [half of the panel][half of the step][lane]; which k an instruction takes is chosen so that a
// lane's part of x is 16 bytes too, k 8 t ... 8 t + 7.
struct PairProduct {
  using Sum = float;
  static constexpr int depth = 32;
  static constexpr int ahead = 2, most_groups = 4;
  static constexpr int weight_bytes = panel_rows * depth * 2, x_bytes = group_rows * depth * 2;
  struct Weights {
    uint32_t at[2][2][4];
  };
  struct Activations {
    uint32_t at[2][2];
  };

  // Where w[row][k] of a panel and step lies among its elements.
  __device__ static int place(int row, int k) {
    const int lane = row / 4 * 4 + k / 8, i = row / 2 % 2, half = k / 4 % 2;
    return ((i * 2 + half) * 32 + lane) * 8 + (k / 2 % 2 * 2 + row % 2) * 2 + k % 2;
  }

  __device__ static Weights load(const std::byte* step) {
    Weights w;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      copy_words(w.at[i / 2][i % 2], step + (i * 32 + lane_of_warp()) * 16);
    return w;
  }
  __device__ static const Weights& unpacked(const Weights& w) { return w; }

  template <class X>
  __device__ static Activations read(const Rows<X>& x, int64_t group, int k) {
    float values[8];
    read_row(values, x, group * group_rows + lane_of_warp() / 4, k + lane_of_warp() % 4 * 8);
    Activations a;
#pragma unroll
    for (int i = 0; i < 4; ++i) a.at[i / 2][i % 2] = pack_bf16(values[2 * i], values[2 * i + 1]);
    return a;
  }
  __device__ static void store(const Activations& a, std::byte* step) {
    const Pack<uint32_t, 4> words{{a.at[0][0], a.at[0][1], a.at[1][0], a.at[1][1]}};
    store_pack<4>(reinterpret_cast<uint32_t*>(step) + lane_of_warp() * 4, words);
  }
  __device__ static Activations load_x(const std::byte* step) {
    uint32_t words[4];
    copy_words(words, step + lane_of_warp() * 16);
    return {{{words[0], words[1]}, {words[2], words[3]}}};
  }

  __device__ static void multiply(Sums<float>& sums, const Weights& w, const Activations& x) {
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) multiply_add(sums.at[i], w.at[i][half], x.at[half]);
  }
};

}  // namespace folio::cuda
