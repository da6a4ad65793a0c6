#pragma once
// A chunk's keys and values in shared memory, and a warp's 16 queries over it on tensor cores.
#include "core/cuda/kernels/attention/attention_tiles.h"
#include "core/cuda/kernels/kv_cache/partial.h"
#include "core/cuda/kernels/pack.h"

namespace folio::cuda {

// Which keys of a chunk the rows of a warp see: a row those before its end, but for the ones before
// end - span.
struct Ends {
  int of_lane[2];   // of the lane's rows
  int least, most;  // of the first and of the last of 16 rows
  int span;

  // Of rows [row, row + 16), for a chunk of positions from 0 on.
  __device__ Ends(const CachedSizes& s, int position, int row) : span(s.call.span()) {
    const int lane = int(threadIdx.x) % 32;
    auto end = [&](int r) { return position + s.query_of(row + r) + 1; };
    of_lane[0] = end(lane / 4), of_lane[1] = end(lane / 4 + 8);
    least = end(0), most = end(15);
  }
  // The same for the chunk of positions from `first` on.
  __device__ Ends of_chunk(int first) const {
    Ends ends = *this;
    ends.of_lane[0] -= first, ends.of_lane[1] -= first;
    ends.least -= first, ends.most -= first;
    return ends;
  }

  // Whether one that ends at `end` sees a key, or some of `count` keys from `first` on.
  __device__ bool sees(int end, int key) const { return unsigned(end - 1 - key) < unsigned(span); }
  __device__ bool sees_some(int end, int first, int count) const {
    return end > first && end - (first + count) < span;
  }
  __device__ bool row_sees(int r) const { return sees_some(of_lane[r], 0, chunk_keys); }
  // Whether any row sees some of the keys from `first` on, and whether every row sees all of them.
  __device__ bool any(int first, int count) const {
    return most > first && least - (first + count) < span;
  }
  __device__ bool all(int first, int count) const {
    return least >= first + count && most - 1 - first < span;
  }
  // Of any of the 16 rows; by all lanes.
  __device__ int of_row(int row) const {
    return __shfl_sync(all_lanes, row < 8 ? of_lane[0] : of_lane[1], row % 8 * 4);
  }
};

// The 64 rows of a chunk of a head's keys or values, of which those in [begin, end) are wanted, on
// their way to a tile; zeros for the others. `begin` asks for them, and `finish` waits: they are
// there after a barrier behind that. Of asynchronous copies, `newest` groups begun since may still
// be under way.
template <class S, int width, int threads>
class RowsOfChunk;

template <int width, int threads>
class RowsOfChunk<bfloat16, width, threads> {
 public:
  __device__ void begin(Tile<chunk_keys, width>& to, const bfloat16* from, int D, int begin,
                        int end) {
    constexpr int pieces = width / 8;
    for (int i = int(threadIdx.x); i < chunk_keys * pieces; i += threads) {
      const int row = i / pieces, column = i % pieces * 8;
      const bool in_range = begin <= row && row < end && column < D;
      copy_async(&to[row][column], from + (in_range ? row * cached_width<bfloat16>(D) + column : 0),
                 in_range);
    }
    commit_copies();
  }
  template <int newest>
  __device__ void finish(Tile<chunk_keys, width>&) {
    wait_for_copies<newest>();
  }
};

// Integers go through registers: in the tile they are bf16, which holds them exactly.
template <int width, int threads>
class RowsOfChunk<int8_t, width, threads> {
 public:
  __device__ void begin(Tile<chunk_keys, width>&, const int8_t* from, int D, int begin, int end) {
    const int row_bytes = cached_width<int8_t>(D);
#pragma unroll
    for (int i = 0; i < pieces; ++i) {
      const int key = row(i);
      pieces_[i] = begin <= key && key < end && column(i) < row_bytes
                       ? *reinterpret_cast<const uint4*>(from + key * row_bytes + column(i))
                       : uint4{};
    }
    commit_copies();
  }
  template <int newest>
  __device__ void finish(Tile<chunk_keys, width>& to) {
    wait_for_copies<newest>();
#pragma unroll
    for (int i = 0; i < pieces; ++i) {
      auto* at = reinterpret_cast<uint4*>(&to[row(i)][column(i)]);
      const uint4 piece = pieces_[i];
      at[0] = make_uint4(pair(piece.x, 0), pair(piece.x, 2), pair(piece.y, 0), pair(piece.y, 2));
      at[1] = make_uint4(pair(piece.z, 0), pair(piece.z, 2), pair(piece.w, 0), pair(piece.w, 2));
    }
  }

 private:
  static constexpr int per_row = width / 16, pieces = chunk_keys * per_row / threads;
  __device__ static int row(int i) { return (int(threadIdx.x) + i * threads) / per_row; }
  __device__ static int column(int i) { return (int(threadIdx.x) + i * threads) % per_row * 16; }
  // Bytes `first` and the next as bf16. 2^23 + (q + 128) in f32 has q + 128 in its lowest byte.
  __device__ static uint32_t pair(uint32_t word, int first) {
    const uint32_t biased = (word ^ 0x80808080u) >> (8 * first);
    auto number = [](uint32_t byte) {
      return std::bit_cast<float>(0x4b000000u | (byte & 0xff)) - (8388608.0f + 128);
    };
    return pack_bf16(number(biased), number(biased >> 8));
  }

  uint4 pieces_[pieces];
};

// Begins to copy a chunk's scales, of int8, of the keys in [begin, end), with some of the others;
// in the group that is committed next.
template <class S>
__device__ void load_scales(float (&to)[2][chunk_keys], const float* from, int begin, int end) {
  if constexpr (sizeof(S) == 1) {
    const int first = 4 * int(threadIdx.x), key = first % chunk_keys;
    if (first >= 2 * chunk_keys) return;
    if (begin <= key && key + 4 <= end)
      copy_async(&to[0][0] + first, from + first, true);
    else  // others may be written meanwhile
      for (int i = 0; i < 4; ++i)
        if (begin <= key + i && key + i < end) (&to[0][0])[first + i] = from[first + i];
  }
}

// Scores, as multiply_rows leaves them, -> 2^(score - largest), times the values' scales if there
// are any; 0 for keys that a row does not see. A lane has two rows, of which four lanes share each.
template <bool scaled>
__device__ void softmax_of_chunk(float (&p)[8][4], const float (&scales)[2][chunk_keys],
                                 float scale, const Ends& ends, float (&largest)[2],
                                 float (&sums)[2]) {
  const int lane = int(threadIdx.x) % 32, pair = lane % 4 * 2;
  auto factor = [&](int key) { return scaled ? scale * scales[0][key] : scale; };
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    auto sees = [&](int key) { return ends.sees(ends.of_lane[r], key); };
    float most = lowest<float>, sum = 0;
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int key = 8 * j + pair + i;
        if (sees(key)) most = fmaxf(most, p[j][2 * r + i] * factor(key));
      }
    most = fmaxf(most, __shfl_xor_sync(all_lanes, most, 1));
    most = fmaxf(most, __shfl_xor_sync(all_lanes, most, 2));
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int key = 8 * j + pair + i;
        float& x = p[j][2 * r + i];
        const float e = sees(key) ? probability(x, factor(key), most) : 0.0f;
        sum += e;
        x = scaled && sees(key) ? e * scales[1][key] : e;
      }
    sum += __shfl_xor_sync(all_lanes, sum, 1);
    sum += __shfl_xor_sync(all_lanes, sum, 2);
    largest[r] = most, sums[r] = sum;
  }
}

// Whether any number in rows [first, first + 16) of a tile is not finite; a warp.
template <int width>
__device__ bool has_not_finite(const Tile<chunk_keys, width>& tile, int first) {
  constexpr int per_row = width / 8;
  bool found = false;
  for (int i = int(threadIdx.x) % 32; i < 16 * per_row; i += 32) {
    const auto pack = load_pack<8>(&tile[first + i / per_row][i % per_row * 8]);
#pragma unroll
    for (int j = 0; j < 8; ++j) found = found || (pack.at[j].bits & 0x7f80) == 0x7f80;
  }
  return __any_sync(all_lanes, found) != 0;
}

// A warp's probabilities as factors of bf16, of 16 keys at a time.
struct Weights {
  uint32_t pairs[4][4];
  Ends ends;
  uint32_t careful;  // bit k: some rows do not see all of 16 keys, whose values are not all finite

  // p is what softmax_of_chunk leaves.
  template <int width>
  __device__ Weights(const float (&p)[8][4], const Tile<chunk_keys, width>& v, const Ends& ends)
      : ends(ends), careful(0) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float(&a)[4] = p[2 * k], (&b)[4] = p[2 * k + 1];
      pairs[k][0] = pack_bf16(a[0], a[1]), pairs[k][1] = pack_bf16(a[2], a[3]);
      pairs[k][2] = pack_bf16(b[0], b[1]), pairs[k][3] = pack_bf16(b[2], b[3]);
      const bool partly = is_seen(k) && !ends.all(16 * k, 16);
      if (partly && has_not_finite(v, 16 * k)) careful |= 1u << k;
    }
  }
  __device__ bool is_seen(int k) const { return ends.any(16 * k, 16); }
};

// sums += p v for columns [column, column + 16) of v. Where a row does not see a key its
// probability is 0, but 0 times what is not finite is not: such values are taken row by row, as
// zeros for each row that does not see them.
template <int width>
__device__ void weigh_values(float (&sums)[2][4], const Weights& weights,
                             const Tile<chunk_keys, width>& v, int column) {
  const int lane = int(threadIdx.x) % 32;
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    if (!weights.is_seen(k)) continue;
    uint32_t b[4];
    load_matrices<true>(b, &v[16 * k + lane % 16][column + lane / 16 * 8]);
    if ((weights.careful >> k & 1) == 0) {
      multiply_add(sums[0], weights.pairs[k], {b[0], b[1]});
      multiply_add(sums[1], weights.pairs[k], {b[2], b[3]});
      continue;
    }
#pragma unroll 1
    for (int row = 0; row < 16; ++row) {
      // Of a register's two halves: keys lane % 4 * 2 and the next of the 16, or 8 further.
      const int end = weights.ends.of_row(row), first = 16 * k + lane % 4 * 2;
      auto kept = [&](int key) {
        return (weights.ends.sees(end, first + key) ? 0xffffu : 0u) |
               (weights.ends.sees(end, first + key + 1) ? 0xffff0000u : 0u);
      };
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        float next[4] = {sums[j][0], sums[j][1], sums[j][2], sums[j][3]};
        multiply_add(next, weights.pairs[k], {b[2 * j] & kept(0), b[2 * j + 1] & kept(8)});
        if (lane / 4 == row) sums[j][0] = next[0], sums[j][1] = next[1];
        if (lane / 4 + 8 == row) sums[j][2] = next[2], sums[j][3] = next[3];
      }
    }
  }
}

}  // namespace folio::cuda
