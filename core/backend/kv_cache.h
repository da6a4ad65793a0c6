#pragma once
#include <cstddef>
#include <cstdint>

#include "core/array.h"

namespace folio {

// The keys and values of one layer for B sequences of up to T positions; the layout is the
// Backend's own, but dimension 0 of every array is the sequence. Under int8 an element of a head's
// key at one position is q scale, where q is an integer from -127 to 127 and scale, which `scales`
// keeps, the largest magnitude among that key's elements over 127; its value at that position
// likewise.
struct KvLayer {
  Array k, v;
  Array scales;          // f32; of no elements unless k and v are int8
  int64_t capacity = 0;  // T
  int64_t n_head = 0, head_width = 0;

  // A view of sequences [begin, end).
  KvLayer rows(int64_t begin, int64_t end) const {
    return {k.slice(begin, end), v.slice(begin, end), scales.slice(begin, end), capacity, n_head,
            head_width};
  }
  size_t bytes() const { return k.bytes() + v.bytes() + scales.bytes(); }
};

// Keys and values that are kept between calls, and attention over them.
class KvCacheOps {
 public:
  virtual ~KvCacheOps() = default;

  // In f64 (for f64 activations alone), f32, bf16 or int8.
  virtual KvLayer make_layer(int64_t B, int64_t T, int64_t C, int64_t n_head, DType dtype) = 0;
  // Appends the keys and values in qkv [B, T, 3C] (attention.h has its order) to row b of `cache`
  // from position positions[b] on, positions [B] i32; query t attends to positions 0 to
  // positions[b] + t, its own among them -> [B, T, C]. Error, unlike elsewhere looked for here, if
  // the batch, the heads or the room are not those of the cache.
  virtual Array attention(const Array& qkv, int64_t n_head, KvLayer& cache,
                          const Array& positions) = 0;
  // The first `length` positions of sequence `from_row` into sequence `to_row` of `to`, whose later
  // positions then hold anything. `to` may be `from`; it has the same heads and dtype, and room for
  // `length`, though its capacity may differ.
  virtual void copy(const KvLayer& from, int64_t from_row, KvLayer& to, int64_t to_row,
                    int64_t length) = 0;
};

}  // namespace folio
