#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/cuda/kernels/attention/attention.h"

namespace folio::cuda {

// KvLayer on CUDA: k and v [B, KV, chunks, 64, width], where `width` is D rounded up to 16 bytes,
// so that a chunk of a head is one run of memory that is read in pieces of 16 bytes. Under int8,
// scales [B, KV, chunks, 2, 64] are those of a chunk's keys and then of their values. Chunks are
// numbered by the positions that they hold; in a ring, chunk c lies where c modulo `chunks` does.
inline constexpr int chunk_keys = 64;

template <class S>
constexpr int cached_width(int D) {
  constexpr int piece = 16 / int(sizeof(S));
  return (D + piece - 1) / piece * piece;
}

struct CachedSizes {
  AttentionSizes call;  // of qkv; a ring has a window
  int chunks;           // for which a sequence has room

  // The queries of a call that share keys, of each position those of a group of heads: row r is the
  // query at query_of(r), of head r % shared() of the group.
  constexpr int rows() const { return call.T * call.shared(); }
  constexpr int query_of(int row) const { return call.KV == call.H ? row : row / call.shared(); }
  constexpr int head_of(int row, int kv_head) const {
    return call.KV == call.H ? kv_head : kv_head * call.shared() + row % call.shared();
  }

  // Where in a head's memory a position lies.
  constexpr int place(int position) const {
    return call.window > 0 ? position % (chunks * chunk_keys) : position;
  }
  // The first chunk of which the query at a position sees keys.
  constexpr int first_chunk(int position) const { return call.first_seen(position) / chunk_keys; }
  // How many chunks, from that of its first query on, a call sees at most, whatever its position.
  constexpr int parts() const {
    return call.window > 0 ? (call.window + call.T + chunk_keys - 3) / chunk_keys + 1 : chunks;
  }
};

// S is double, float, bfloat16 or int8_t.
template <class S>
struct CachedLayer {
  S *k, *v;
  float* scales;

  // What sequence b has for head h of the keys; head = b KV + h.
  constexpr CachedLayer head(int head, const CachedSizes& s) const {
    const int64_t chunk = int64_t(head) * s.chunks;
    const int64_t first = chunk * chunk_keys * cached_width<S>(s.call.D);
    return {k + first, v + first, scales + chunk * 2 * chunk_keys};
  }
  // The scale of the key (`part` = 0) or value (1) at a place, of a head's.
  constexpr float* scale(int place, int part) const {
    return scales + (place / chunk_keys * 2 + part) * chunk_keys + place % chunk_keys;
  }
};

}  // namespace folio::cuda
