#include "autograd/op_checks.h"
#include "autograd/ops.h"

namespace folio {
namespace {

Shape without(const Shape& shape, int axis) {
  std::vector<int64_t> dims(shape.dims().begin(), shape.dims().end());
  dims.erase(dims.begin() + axis);
  return Shape(std::span<const int64_t>(dims));
}

// Recorded as an op of the function that calls, as is softmax_or_log.
Tensor reduced(Reduction op, const Tensor& x, int axis, bool keepdim,
               const Caller& caller = Caller::current()) {
  Array y = backend(x.array())->reductions.reduce(op, x.array(), axis);
  // Where the largest stood must be looked for; where a term of a sum stood does not matter.
  Saved kept = op == Reduction::max ? Saved(x) : Tensor(Array::shape_only(x.shape(), x.dtype()));
  auto backward = [op, kept, y = op == Reduction::max ? y : Array{}, axis](Array dy) {
    return std::vector<Array>{backend(dy)->reductions.reduce_grad(op, kept(), y, dy, axis)};
  };
  Array result = keepdim ? y : y.reshape(without(y.shape(), axis));
  return record(result, {x}, with_dy_in(x.dtype(), backward), nullptr, caller);
}

Tensor softmax_or_log(const char* op, const Tensor& x, bool log,
                      const Caller& caller = Caller::current()) {
  check_values(op, "x", x);
  check(x.shape().rank() > 0, "{}: needs a last dimension, got x {}", op, x.shape());
  Array y = backend(x.array())->rows.softmax(x.array(), log);
  auto backward = [y, log](Array dy) {
    return std::vector<Array>{backend(dy)->rows.softmax_grad(y, dy, log)};
  };
  return record(y, {x}, with_dy_in(x.dtype(), backward), nullptr, caller);
}

}  // namespace

Tensor sum(const Tensor& x, int axis, bool keepdim) {
  check_values("sum", "x", x);
  return reduced(Reduction::sum, x, check_axis("sum", x, axis), keepdim);
}

Tensor mean(const Tensor& x, int axis, bool keepdim) {
  check_values("mean", "x", x);
  axis = check_axis("mean", x, axis);
  return scale(reduced(Reduction::sum, x, axis, keepdim), 1.0 / double(x.dim(axis)));
}

Tensor max(const Tensor& x, int axis, bool keepdim) {
  check_values("max", "x", x);
  axis = check_axis("max", x, axis);
  check(x.dim(axis) > 0, "max: x {} has nothing along dimension {}", x.shape(), axis);
  return reduced(Reduction::max, x, axis, keepdim);
}

Tensor softmax(const Tensor& x) { return softmax_or_log("softmax", x, false); }
Tensor log_softmax(const Tensor& x) { return softmax_or_log("log_softmax", x, true); }

Tensor causal_mask(const Tensor& scores) {
  check_values("causal_mask", "scores", scores);
  check(scores.shape().rank() >= 2 && scores.dim(-1) >= scores.dim(-2),
        "causal_mask: scores must be [..., T, S] with S >= T, got {}", scores.shape());
  auto backward = [](Array dy) { return std::vector<Array>{backend(dy)->rows.causal_mask(dy, 0)}; };
  const double hidden = -std::numeric_limits<double>::infinity();
  return record(backend(scores.array())->rows.causal_mask(scores.array(), hidden), {scores},
                backward);
}

}  // namespace folio
