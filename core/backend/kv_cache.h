#pragma once
#include <cstddef>
#include <cstdint>

#include "core/array.h"
#include "core/backend/heads.h"

namespace folio {

// The keys and values of one layer for B sequences; the layout is the Backend's own, but dimension
// 0 of every array is the sequence. Without a window it holds positions 0 to capacity - 1. With one
// it is a ring: position p lies where p modulo `capacity` does, a multiple of 64, and takes the
// place of position p - capacity, so that positions go on without end in constant memory. Under
// int8 an element of a head's key at one position is q scale, where q is an integer from -127 to
// 127 and scale, which `scales` keeps, the largest magnitude among that key's elements over 127;
// its value at that position likewise.
struct KvLayer {
  Array k, v;
  Array scales;          // f32; of no elements unless k and v are int8
  int64_t capacity = 0;  // positions
  Heads heads;

  // A view of sequences [begin, end).
  KvLayer rows(int64_t begin, int64_t end) const {
    return {k.slice(begin, end), v.slice(begin, end), scales.slice(begin, end), capacity, heads};
  }
  // New positions that one call of attention may bring: of a ring, what leaves the first of them
  // its window.
  int64_t most_new() const { return heads.window > 0 ? capacity - heads.window + 1 : capacity; }
  size_t bytes() const { return k.bytes() + v.bytes() + scales.bytes(); }
};

// The capacity of a layer that is asked to hold T positions: with a window T or a window and 63
// positions more, whichever is larger, in whole chunks of 64.
inline int64_t kv_capacity(int64_t T, const Heads& heads) {
  return heads.window > 0 ? (std::max(T, heads.window + 63) + 63) / 64 * 64 : T;
}

// Keys and values that are kept between calls, and attention over them.
class KvCacheOps {
 public:
  virtual ~KvCacheOps() = default;

  // For kv_capacity(T, heads) positions, in f64 (for f64 activations alone), f32, bf16 or int8.
  virtual KvLayer make_layer(int64_t B, int64_t T, const Heads& heads, DType dtype) = 0;
  // Appends the keys and values in qkv [B, T, heads.columns()] to row b of `cache` from position
  // positions[b] on, positions [B] i32; query t attends to those of positions 0 to positions[b] + t
  // that its window holds, its own among them -> [B, T, n_head width]. What a query does not see
  // adds nothing to it, not even times zero, and what it sees is summed in the order of positions,
  // in parts that positions alone decide: a row has the same bits in a ring, in a ring of any other
  // capacity, and however its tokens were split into calls. Error, unlike elsewhere looked for
  // here, if the batch, the heads or the room (KvLayer::most_new) are not those of the cache.
  virtual Array attention(const Array& qkv, const Heads& heads, KvLayer& cache,
                          const Array& positions) = 0;
  // Of the first `length` positions of sequence `from_row`, the last that it held, into sequence
  // `to_row` of `to`: all of them or, in a ring, at least the window - 1 that the next query sees.
  // The later positions of `to` then hold anything. `to` may be `from`; it has the same heads and
  // dtype, and room for `length` unless it is a ring, though its capacity may differ.
  virtual void copy(const KvLayer& from, int64_t from_row, KvLayer& to, int64_t to_row,
                    int64_t length) = 0;
};

}  // namespace folio
