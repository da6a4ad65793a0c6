#pragma once
#include "core/backend.h"
#include "core/devices/packed_blocks.h"

// What PackedOps says of its arguments on every device, each an Error.
namespace folio {

inline void check_pack(const Array& w, WeightFormat format) {
  const bool readable = w.dtype() == DType::f32 ||
                        (w.dtype() == DType::f64 && format == WeightFormat::f32) ||
                        (w.dtype() == DType::bf16 && format == WeightFormat::bf16);
  check(w.shape().rank() == 2 && readable,
        "pack: {} weights are made from a matrix [N, K] in float32, got {} in {}", format,
        w.shape(), w.dtype());
}

inline Shape packed_blocks_shape(int64_t N, int64_t K, WeightFormat format) {
  return {blocks_of(N), blocks_of(K), record_bytes(format)};
}

inline void check_packed_data(const Array& data, int64_t N, int64_t K, WeightFormat format) {
  check(format == WeightFormat::int8 || format == WeightFormat::int4,
        "packed: {} weights have no layout that is the same everywhere; pack them instead", format);
  const Shape shape = packed_blocks_shape(N, K, format);
  check(data.dtype() == DType::i8 && data.shape() == shape,
        "packed: a weight [{}, {}] in {} is int8 {}, got {} {}", N, K, format, shape, data.dtype(),
        data.shape());
}

// The result of linear(x, w), without values; Error unless they fit.
inline Array unset_linear_packed(const Array& x, const PackedWeight& w) {
  check(x.dim(-1) == w.k, "linear_packed: x {} does not fit a packed weight [{}, {}]", x.shape(),
        w.n, w.k);
  check((x.dtype() == DType::f64) == (w.data.dtype() == DType::f64),
        "linear_packed: x in {} does not go with a weight packed from {}; convert one of them",
        x.dtype(), w.data.dtype());
  Shape shape = x.shape();
  shape[-1] = w.n;
  return Array(shape, x.dtype(), x.device());
}

}  // namespace folio
