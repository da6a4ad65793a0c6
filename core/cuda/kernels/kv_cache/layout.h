#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#include "core/cuda/kernels/attention.h"

namespace folio::cuda {

// KvLayer on CUDA: k and v [B, H, chunks, 64, width], where `width` is D rounded up to 16 bytes, so
// that a chunk of a head is one run of memory that is read in pieces of 16 bytes. Under int8,
// scales [B, H, chunks, 2, 64] are those of a chunk's keys and then of their values.
inline constexpr int chunk_keys = 64;

template <class S>
constexpr int cached_width(int D) {
  constexpr int piece = 16 / int(sizeof(S));
  return (D + piece - 1) / piece * piece;
}

struct CachedSizes {
  AttentionSizes call;  // of qkv
  int chunks;           // for which a sequence has room
};

// S is double, float, bfloat16 or int8_t.
template <class S>
struct CachedLayer {
  S *k, *v;
  float* scales;

  // What sequence b has for head h; head = b H + h.
  constexpr CachedLayer head(int head, const CachedSizes& s) const {
    const int64_t chunk = int64_t(head) * s.chunks;
    const int64_t first = chunk * chunk_keys * cached_width<S>(s.call.D);
    return {k + first, v + first, scales + chunk * 2 * chunk_keys};
  }
  // The scale of the key (`part` = 0) or value (1) at a position, of a head's.
  constexpr float* scale(int position, int part) const {
    return scales + (position / chunk_keys * 2 + part) * chunk_keys + position % chunk_keys;
  }
};

}  // namespace folio::cuda
