#pragma once
#include "core/array.h"
#include "core/backend/packed.h"

namespace folio {

enum class Reduction { sum, max };

class ReductionOps {
 public:
  virtual ~ReductionOps() = default;

  // Over `axis`, counted from 0, whose size becomes 1; a sum of nothing is 0, and a NaN the
  // largest.
  virtual Array reduce(Reduction op, const Array& x, int axis) = 0;
  // The gradient: dy to every place of the axis (sum; of x the shape is enough), or to the first at
  // which x is y, the result (max).
  virtual Array reduce_grad(Reduction op, const Array& x, const Array& y, const Array& dy,
                            int axis) = 0;
  // Whether x, of any dtype, holds neither NaN nor infinity.
  virtual bool all_finite(const Array& x) = 0;
  virtual bool all_finite(const PackedWeight& w) = 0;  // its scales included
};

}  // namespace folio
