#pragma once
#include <cstdint>

#include "core/array.h"
#include "core/elementwise.h"
#include "core/weight_format.h"

namespace folio {

// A weight [N, K] laid out for inference. In f32 and bf16 the layout is its Backend's own. In int8
// and int4 it is one for all (core/devices/packed_blocks.h), so that `data` can go to a file:
// packed_layout numbers it and changes whenever it does.
inline constexpr int64_t packed_layout = 1;
struct PackedWeight {
  Array data;
  int64_t n = 0, k = 0;
  WeightFormat format = WeightFormat::f32;
  bool defined() const { return data.defined(); }
};

// Products with weights laid out for inference.
class PackedOps {
 public:
  virtual ~PackedOps() = default;

  // w [N, K] laid out in `format`. w is f32, or f64 for the format f32, or bf16 for the format
  // bf16.
  virtual PackedWeight pack(const Array& w, WeightFormat format) = 0;
  // The int8 or int4 weight whose data this is; Error if it cannot be.
  virtual PackedWeight from_data(const Array& data, int64_t N, int64_t K, WeightFormat format) = 0;
  // The rows of w that `rows` [M] i32 names, widened -> [M, K] in f32 (f64 for f64).
  virtual Array unpack_rows(const PackedWeight& w, const Array& rows) = 0;
  // act(x w^T + bias), as ProductOps::linear.
  virtual Array linear(const Array& x, const PackedWeight& w, const Array& bias,
                       Unary act = Unary::none) = 0;
};

}  // namespace folio
