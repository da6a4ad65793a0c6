#pragma once
#include <cstdint>

#include "core/array.h"

namespace folio {

// What rearranges elements; `transpose` may cast them on the way.
class LayoutOps {
 public:
  virtual ~LayoutOps() = default;

  // x with dimensions i and j, counted from 0, exchanged, in `dtype`.
  virtual Array transpose(const Array& x, int i, int j, DType dtype) = 0;
  // to[..., to_begin + l, ...] = from[..., from_begin + l, ...] for l in [0, n) of `axis`, counted
  // from 0. All other dimensions, and the dtype, are alike.
  virtual void copy_block(const Array& from, int64_t from_begin, Array& to, int64_t to_begin,
                          int64_t n, int axis) = 0;
  // The rows of x [R, C] that `rows` [N] i32, all in [0, R), names -> [N, C].
  virtual Array take_rows(const Array& x, const Array& rows) = 0;
  // x[..., ids[...]] of x [..., V]: an element a row, or 0 where the id (i32, below V) is -1. The
  // gradient, of x's `shape`, is dy at those elements and 0 elsewhere.
  virtual Array pick(const Array& x, const Array& ids) = 0;
  virtual Array pick_grad(const Array& dy, const Array& ids, const Shape& shape) = 0;
};

}  // namespace folio
