#pragma once
// Tiles of bf16 in shared memory, and their products on tensor cores. A block has four warps.
#include "core/cuda/kernels/attention/attention_head.h"
#include "core/cuda/ptx.h"

namespace folio::cuda {

inline constexpr int tile_threads = 128;
inline constexpr int tile_rows = 64;

// Rows are 16 bytes longer than `width` elements, so that ldmatrix meets no bank twice.
template <int rows, int width>
struct alignas(16) Tile {
  bfloat16 at[rows][width + 8];

  __device__ bfloat16 (&operator[](int row))[width + 8] { return at[row]; }
  __device__ const bfloat16 (&operator[](int row) const)[width + 8] { return at[row]; }
};

// Begins to copy rows [first, first + rows) of a head whose rows are `stride` apart; zeros from row
// T and column D on.
template <int threads = tile_threads, int rows, int width>
__device__ inline void load_tile(Tile<rows, width>& to, const bfloat16* from, int stride, int first,
                                 const AttentionSizes& s) {
  constexpr int pieces = width / 8;
  for (int i = int(threadIdx.x); i < rows * pieces; i += threads) {
    const int row = i / pieces, column = i % pieces * 8;
    const bool in_range = first + row < s.T && column < s.D;
    copy_async(&to[row][column],
               from + (in_range ? int64_t(first + row) * stride + column : int64_t(0)), in_range);
  }
}

// sums[j] += a b^T for rows [row, row + 16) of a and [8 j, 8 j + 8) of b, both [..., width].
template <int width, int n, int a_rows, int b_rows>
__device__ inline void multiply_rows(float (&sums)[n][4], const Tile<a_rows, width>& a, int row,
                                     const Tile<b_rows, width>& b) {
  const int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int k = 0; k < width; k += 16) {
    uint32_t a_pairs[4];
    load_matrices<false>(a_pairs, &a[row + lane % 16][k + lane / 16 * 8]);
#pragma unroll
    for (int j = 0; j < n; j += 2) {
      uint32_t b_pairs[4];
      load_matrices<false>(b_pairs, &b[8 * j + lane / 16 * 8 + lane % 8][k + lane / 8 % 2 * 8]);
      multiply_add(sums[j], a_pairs, {b_pairs[0], b_pairs[1]});
      multiply_add(sums[j + 1], a_pairs, {b_pairs[2], b_pairs[3]});
    }
  }
}

// sums[j] += p b for columns [8 j, 8 j + 8) of b [8 m, width], where p [16, 8 m] is what
// multiply_rows leaves in m sums.
template <int width, int n, int m>
__device__ inline void multiply_sums(float (&sums)[n][4], const float (&p)[m][4],
                                     const Tile<8 * m, width>& b) {
  static_assert(n * 8 == width);
  const int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int k = 0; k < m; k += 2) {
    const uint32_t a_pairs[4] = {pack_bf16(p[k][0], p[k][1]), pack_bf16(p[k][2], p[k][3]),
                                 pack_bf16(p[k + 1][0], p[k + 1][1]),
                                 pack_bf16(p[k + 1][2], p[k + 1][3])};
#pragma unroll
    for (int j = 0; j < n; j += 2) {
      uint32_t b_pairs[4];
      load_matrices<true>(b_pairs, &b[8 * k + lane % 16][8 * j + lane / 16 * 8]);
      multiply_add(sums[j], a_pairs, {b_pairs[0], b_pairs[1]});
      multiply_add(sums[j + 1], a_pairs, {b_pairs[2], b_pairs[3]});
    }
  }
}

// sums [16, width] of a warp, scaled, to where place(row) [D] says for row < 16, null for nowhere,
// through 16 rows of a tile that only this warp still uses. `scale` holds a factor for each of a
// lane's two rows.
template <int width, class Place>
__device__ inline void store_rows(const float (&sums)[width / 8][4], const float (&scale)[2],
                                  Tile<16, width>& rows, int D, Place&& place) {
  const int lane = int(threadIdx.x) % 32;
  __syncwarp();
#pragma unroll
  for (int j = 0; j < width / 8; ++j)
#pragma unroll
    for (int r = 0; r < 2; ++r)
      *reinterpret_cast<uint32_t*>(&rows[lane / 4 + 8 * r][8 * j + lane % 4 * 2]) =
          pack_bf16(sums[j][2 * r] * scale[r], sums[j][2 * r + 1] * scale[r]);
  __syncwarp();
  constexpr int pieces = width / 8;
  for (int i = lane; i < 16 * pieces; i += 32) {
    const int row = i / pieces, column = i % pieces * 8;
    bfloat16* to = place(row);
    if (to && column < D)
      *reinterpret_cast<uint4*>(to + column) = *reinterpret_cast<const uint4*>(&rows[row][column]);
  }
}
// To rows [first, first + 16) of a head.
template <int width>
__device__ inline void store_rows(const float (&sums)[width / 8][4], const float (&scale)[2],
                                  Tile<16, width>& rows, bfloat16* to, int stride, int first,
                                  const AttentionSizes& s) {
  store_rows(sums, scale, rows, s.D, [&](int row) {
    return first + row < s.T ? to + int64_t(first + row) * stride : nullptr;
  });
}

// The 16 rows of a tile that are a warp's.
template <int width>
__device__ inline Tile<16, width>& rows_of_warp(Tile<tile_rows, width>& tile) {
  return reinterpret_cast<Tile<16, width>&>(tile[int(threadIdx.x) / 32 * 16]);
}

// The dropout of a warp's 16 queries and 64 keys, or of 16 keys and 8 n queries, as the sums of
// multiply_rows lie in the lanes. Each lane draws the eight numbers of four blocks, or n / 2; the
// others ask it for the bits.
class KeptOfQueries {
 public:
  __device__ KeptOfQueries(const Dropout& dropout, const AttentionSizes& s, int head, int query,
                           int key) {
    const int lane = int(threadIdx.x) % 32;
    uint32_t drawn = 0;
    for (int i = 0; i < 4; ++i)
      drawn |= kept_of_eight(dropout, s, head, query + lane % 16, key + (lane / 16 * 4 + i) * 8)
               << (8 * i);
    for (int i = 0; i < 4; ++i)  // keys 32 (i / 2) and on, of rows 8 (i % 2) and on
      bits_[i] = __shfl_sync(all_lanes, drawn, i / 2 * 16 + i % 2 * 8 + lane / 4);
  }
  // Of sums[j][i].
  __device__ bool operator()(int j, int i) const {
    const int pair = int(threadIdx.x) % 4 * 2;
    return bits_[j / 4 * 2 + i / 2] >> (j % 4 * 8 + pair + i % 2) & 1;
  }

 private:
  uint32_t bits_[4];
};

template <int n>
class KeptOfKeys {
 public:
  __device__ KeptOfKeys(const Dropout& dropout, const AttentionSizes& s, int head, int query,
                        int key) {
    const int lane = int(threadIdx.x) % 32;
    uint32_t drawn = 0;
    for (int i = 0; i < n / 2; ++i)
      drawn |= kept_of_eight(dropout, s, head, query + (2 * i + lane / 16) * 8 + lane % 8,
                             key + lane / 8 % 2 * 8)
               << (8 * i);
    for (int i = 0; i < 8;
         ++i)  // of odd j: i / 4; of rows 8 and on: i / 2 % 2; second column: i % 2
      bits_[i] = __shfl_sync(all_lanes, drawn, i / 4 * 16 + i / 2 % 2 * 8 + lane % 4 * 2 + i % 2);
  }
  // Of sums[j][i].
  __device__ bool operator()(int j, int i) const {
    const int row = int(threadIdx.x) % 32 / 4;
    return bits_[j % 2 * 4 + i] >> (j / 2 * 8 + row) & 1;
  }

 private:
  uint32_t bits_[8];
};

}  // namespace folio::cuda
