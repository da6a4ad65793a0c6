#pragma once
// A chunk's keys and values in shared memory, and a warp's 16 queries over it on tensor cores.
#include "core/cuda/kernels/attention_tiles.h"
#include "core/cuda/kernels/kv_cache/partial.h"
#include "core/cuda/kernels/pack.h"

namespace folio::cuda {

// Rows [first, first + 64) of a head's keys or values on their way to a tile; zeros from row `end`
// on. `begin` asks for them, and `finish` waits: they are there after a barrier behind that. Of
// asynchronous copies, `newest` groups begun since may still be under way.
template <class S, int width, int threads>
class RowsOfChunk;

template <int width, int threads>
class RowsOfChunk<bfloat16, width, threads> {
 public:
  __device__ void begin(Tile<chunk_keys, width>& to, const bfloat16* from, int D, int first,
                        int end) {
    load_tile<threads>(to, from, cached_width<bfloat16>(D), first, {1, end, 1, D});
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
  __device__ void begin(Tile<chunk_keys, width>&, const int8_t* from, int D, int first, int end) {
    const int row_bytes = cached_width<int8_t>(D);
#pragma unroll
    for (int i = 0; i < pieces; ++i) {
      const int key = first + row(i);
      pieces_[i] =
          key < end && column(i) < row_bytes
              ? *reinterpret_cast<const uint4*>(from + int64_t(key) * row_bytes + column(i))
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

// Begins to copy a chunk's scales, of int8; in the group that is committed next.
template <class S>
__device__ void load_scales(float (&to)[2][chunk_keys], const float* from) {
  if constexpr (sizeof(S) == 1)
    if (threadIdx.x < 2 * chunk_keys / 4)
      copy_async(&to[0][0] + 4 * threadIdx.x, from + 4 * threadIdx.x, true);
}

// Scores, as multiply_rows leaves them, -> 2^(score - largest), times the values' scales if there
// are any; 0 for keys that a row does not see. The warp's first row sees `seen` keys of the chunk,
// and each other row one more. A lane has two rows, of which four lanes share each.
template <bool scaled>
__device__ void softmax_of_chunk(float (&p)[8][4], const float (&scales)[2][chunk_keys],
                                 float scale, int seen, float (&largest)[2], float (&sums)[2]) {
  const int lane = int(threadIdx.x) % 32, pair = lane % 4 * 2;
  auto factor = [&](int key) { return scaled ? scale * scales[0][key] : scale; };
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int visible = seen + lane / 4 + 8 * r;
    float most = lowest<float>, sum = 0;
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int key = 8 * j + pair + i;
        if (key < visible) most = fmaxf(most, p[j][2 * r + i] * factor(key));
      }
    most = fmaxf(most, __shfl_xor_sync(all_lanes, most, 1));
    most = fmaxf(most, __shfl_xor_sync(all_lanes, most, 2));
#pragma unroll
    for (int j = 0; j < 8; ++j)
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int key = 8 * j + pair + i;
        float& x = p[j][2 * r + i];
        const float e = key < visible ? probability(x, factor(key), most) : 0.0f;
        sum += e;
        x = scaled && key < visible ? e * scales[1][key] : e;
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
  int seen;          // keys that the first row sees; each other row one more
  uint32_t careful;  // bit k: some rows do not see all of 16 keys, whose values are not all finite

  // p is what softmax_of_chunk leaves.
  template <int width>
  __device__ Weights(const float (&p)[8][4], const Tile<chunk_keys, width>& v, int seen)
      : seen(seen), careful(0) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float(&a)[4] = p[2 * k], (&b)[4] = p[2 * k + 1];
      pairs[k][0] = pack_bf16(a[0], a[1]), pairs[k][1] = pack_bf16(a[2], a[3]);
      pairs[k][2] = pack_bf16(b[0], b[1]), pairs[k][3] = pack_bf16(b[2], b[3]);
      const bool partly = 16 * k + 16 > seen && is_seen(k);
      if (partly && has_not_finite(v, 16 * k)) careful |= 1u << k;
    }
  }
  __device__ bool is_seen(int k) const { return 16 * k < seen + 15; }
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
    if (!weights.is_seen(k)) break;
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
      auto kept = [&](int key) {
        const int visible = weights.seen + row - 16 * k - lane % 4 * 2 - key;
        return visible >= 2 ? ~0u : visible == 1 ? 0xffffu : 0u;
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
