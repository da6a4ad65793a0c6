#pragma once
// Tiles of rows in shared memory for the plain attention kernels. A block has `rows` rows, of
// queries or of keys, and eight lanes for each; eight lanes share a warp.
#include <cfloat>
#include <cmath>

#include "core/cuda/kernels/attention/attention_head.h"

namespace folio::cuda {

inline constexpr int lanes_per_row = 8;

// Less than any score; unlike -INFINITY it can be taken from one.
template <class F>
inline constexpr F lowest_score = F(sizeof(F) == 8 ? -DBL_MAX : -FLT_MAX);

// Tiles of [rows, D] of F, each row one longer where D is even so that a column meets few banks
// twice, and of [rows, rows + 1] for scores.
template <class F, int rows>
struct PlainTiles {
  F* next;
  int width;

  __device__ PlainTiles(F* memory, int D) : next(memory), width(D | 1) {}
  __device__ F* take() {
    F* tile = next;
    next += rows * width;
    return tile;
  }
  __device__ F* take_scores() {
    F* tile = next;
    next += rows * (rows + 1);
    return tile;
  }
  static size_t bytes(int D, int tiles, int scores) {
    return sizeof(F) * size_t(rows) * size_t(tiles * (D | 1) + scores * (rows + 1));
  }
};

// Rows [first, first + rows) of a head whose rows are `stride` apart; zeros from row T on.
template <int rows, class E, class F>
__device__ void load_rows(F* to, int width, const E* from, int stride, int first,
                          const AttentionSizes& s) {
  for (int i = int(threadIdx.x); i < rows * s.D; i += rows * lanes_per_row) {
    const int row = i / s.D, column = i % s.D;
    to[row * width + column] =
        first + row < s.T ? F(from[int64_t(first + row) * stride + column]) : F(0);
  }
}

template <class F>
__device__ F dot(const F* a, const F* b, int n) {
  F sum = 0;
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// to[c] = to[c] * scale + the sum over j of weights[j] rows[j][c], for this lane's columns.
template <int rows, class F>
__device__ void add_weighted_rows(F* to, F scale, const F* weights, const F* from, int width,
                                  int D) {
  for (int c = int(threadIdx.x) % lanes_per_row; c < D; c += lanes_per_row) {
    F sum = to[c] * scale;
    for (int j = 0; j < rows; ++j) sum += weights[j] * from[j * width + c];
    to[c] = sum;
  }
}

// What dropout multiplies the probability of `key` for `query` by.
template <class F>
__device__ F dropout_factor(const Dropout& dropout, const AttentionSizes& s, int head, int query,
                            int key) {
  if (!dropout.enabled()) return F(1);
  const uint64_t i =
      (uint64_t(head) * uint64_t(s.T) + uint64_t(query)) * uint64_t(s.T) + uint64_t(key);
  return dropout.keeps(i) ? F(dropout.scale()) : F(0);
}

// f(integral_constant<int, rows>()) with 32 rows, or with 8 where 32 need too much shared memory.
template <class F, class Visit>
void visit_plain_rows(int D, int tiles, int scores, Visit&& visit) {
  constexpr size_t most = size_t{163} << 10;  // of shared memory on compute capability 8.0
  if (PlainTiles<F, 32>::bytes(D, tiles, scores) <= most)
    visit(std::integral_constant<int, 32>());
  else
    visit(std::integral_constant<int, 8>());
}

}  // namespace folio::cuda
