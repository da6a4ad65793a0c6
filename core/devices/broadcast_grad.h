#pragma once
#include <optional>

#include "core/backend.h"
#include "core/devices/broadcast_plan.h"

namespace folio {

// The derivative of an op whose derivatives are numbers; nothing for one that keeps a and b.
inline std::optional<double> constant_slope(Binary op, Side side) {
  return visit_binary(op, [&](auto f) -> std::optional<double> {
    if constexpr (decltype(f)::keeps) return std::nullopt;
    return side == Side::a ? f.slope_a(0.0, 0.0) : f.slope_b(0.0, 0.0);
  });
}

// dx, in full, summed over the dimensions along which the operand on `side` was repeated, one after
// the other from the innermost; sum_axis(x, outer, n, inner) is the device's.
template <class SumAxis>
Array sum_repeats(Array dx, const BroadcastPlan& plan, Side side, SumAxis&& sum_axis) {
  int64_t outer = plan.rows() * plan.inner().size, inner = 1;
  for (int i = plan.rank - 1; i >= 0; --i) {
    const auto& dim = plan.dims[size_t(i)];
    outer /= dim.size;
    if ((side == Side::a ? dim.a : dim.b) == 0)
      dx = sum_axis(dx, outer, dim.size, inner);
    else
      inner *= dim.size;
  }
  return dx;
}

// BroadcastOps::binary_grad from the two kernels that a device brings: sum_axis as above, and
// slopes(plan, dx), which sets dx[i] = dy[i] times the derivative, where dx may be f32 over bf16.
template <class Slopes, class SumAxis>
Array broadcast_grad(Binary op, Side side, const Array& a, const Array& b, const Array& dy,
                     Slopes&& slopes, SumAxis&& sum_axis) {
  const Shape& shape = side == Side::a ? a.shape() : b.shape();
  if (dy.size() == 0) return zeros(shape, dy.dtype(), dy.device());
  const BroadcastPlan plan(a.shape(), b.shape(), dy.shape());
  const bool repeated = shape.size() != dy.size();
  const std::optional<double> constant = constant_slope(op, side);
  Array dx = dy;
  if (!constant) {
    // What is still to be summed is not rounded to bf16.
    const bool wide = repeated && dy.dtype() == DType::bf16;
    dx = Array(dy.shape(), wide ? DType::f32 : dy.dtype(), dy.device());
    slopes(plan, dx);
  }
  if (repeated) dx = sum_repeats(dx, plan, side, sum_axis);
  if (dx.dtype() != dy.dtype() || dx.shares_storage_with(dy))
    dx = backend(dx)->elementwise.cast(dx, dy.dtype());
  if (constant) backend(dx)->elementwise.scale(dx, *constant);
  return dx.reshape(shape);
}

}  // namespace folio
