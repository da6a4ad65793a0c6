#include "autograd/op_checks.h"
#include "autograd/ops.h"

namespace folio {
namespace {

void check_residual(const char* op, const Tensor& residual, const Tensor& x) {
  check(residual.shape() == x.shape(), "{}: residual {} and x {} need one shape", op,
        residual.shape(), x.shape());
  check_values(op, "the residual", residual);
  check(
      residual.dtype() == x.dtype() || (residual.dtype() == DType::f32 && x.dtype() == DType::bf16),
      "{}: the residual is {}, but x is {}; it may be float32 over bfloat16, else they need one "
      "dtype",
      op, residual.dtype(), x.dtype());
  check_device(op, "the residual", x.array(), residual.array());
}

Array dropped(const Array& dy, const Dropout& dropout, DType dtype) {
  return dropout.enabled() ? backend(dy)->random.dropout_grad(dy, dropout, dtype)
                           : to_dtype(dy, dtype);
}

void check_norm(const char* op, const Tensor& x, const Tensor& w, const Tensor& b,
                const Norm& norm) {
  check_optional(op, "the weight", x, w);
  check_optional(op, "the bias", x, b);
  check(x.shape().rank() > 0, "{}: needs a last dimension, got x {}", op, x.shape());
  const Shape channels{x.dim(-1)};
  check((!w.defined() || w.shape() == channels) && (!b.defined() || b.shape() == channels),
        "{}: x {} needs weight and bias [{}], got {} and {}", op, x.shape(), x.dim(-1), w.shape(),
        b.shape());
  check(norm.kind == NormKind::layer || !b.defined(), "{}: an RMS norm has no bias", op);
}

}  // namespace

Tensor add_dropout(const Tensor& residual, const Tensor& x, const Dropout& dropout) {
  check_values("add_dropout", "x", x);
  if (residual.defined() || residual.requires_grad()) check_residual("add_dropout", residual, x);
  if (!residual.defined() && !dropout.enabled()) return x;
  return record(backend(x.array())->random.add_dropout(residual.array(), x.array(), dropout),
                {residual, x}, [dropout, dtype = x.dtype()](Array dy) {
                  return std::vector<Array>{dy, dropped(dy, dropout, dtype)};
                });
}

Tensor norm(const Tensor& x, const Tensor& w, const Tensor& b, const Norm& norm, DType dtype) {
  const char* name = norm.kind == NormKind::rms ? "rms_norm" : "layer_norm";
  check_values(name, "x", x);
  check_norm(name, x, w, b, norm);
  check(dtype == x.dtype() || (dtype == DType::bf16 && x.dtype() == DType::f32),
        "{}: of x in {} gives {}, or bfloat16 of float32, not {}", name, x.dtype(), x.dtype(),
        dtype);
  auto forward = [x = x.array(), w = w.array(), b = b.array(), norm, dtype] {
    return backend(x)->norms.norm(x, w, b, norm, dtype);
  };
  Normed normed = forward();
  return record(
      normed.y, {x, w, b},
      [x = x.array(), w = w.array(), with_bias = b.defined(), mean = normed.mean,
       rstd = normed.rstd, dw_so_far = GradientSoFar(w), db_so_far = GradientSoFar(b)](Array dy) {
        Array dw = dw_so_far.take(), db = db_so_far.take();
        Array dx =
            backend(dy)->norms.norm_grad(dy, x, w, mean, rstd, dw, with_bias ? &db : nullptr);
        return std::vector<Array>{dx, dw, db};
      },
      [forward] { return forward().y; });
}

NormedResidual add_dropout_norm(const Tensor& residual, const Tensor& x, const Dropout& dropout,
                                const Tensor& w, const Tensor& b, const Norm& norm) {
  constexpr const char* name = "add_dropout_norm";
  check_values(name, "x", x);
  check_residual(name, residual, x);
  check_norm(name, x, w, b, norm);
  NormedSum forward = backend(x.array())->norms.add_dropout_norm(
      residual.array(), x.array(), dropout, w.array(), b.array(), norm);
  auto norm_again = [sum = forward.sum, w = w.array(), b = b.array(), norm, dtype = x.dtype()] {
    return backend(sum)->norms.norm(sum, w, b, norm, dtype).y;
  };
  auto backward = [dropout, dtype = x.dtype(), sum = forward.sum, w = w.array(),
                   with_bias = b.defined(), mean = forward.normed.mean, rstd = forward.normed.rstd,
                   dw_so_far = GradientSoFar(w),
                   db_so_far = GradientSoFar(b)](std::vector<Gradient> dys) {
    Array dsum = std::move(dys[0]), dy = std::move(dys[1]);
    if (!dy.defined()) return std::vector<Array>{dsum, dropped(dsum, dropout, dtype), {}, {}};
    if (dsum.defined()) dsum = owned(to_dtype(std::move(dsum), sum.dtype()));
    Array dw = dw_so_far.take(), db = db_so_far.take();
    Array dx = backend(dy)->norms.add_dropout_norm_grad(
        to_dtype(dy, dtype), sum, w, mean, rstd, dropout, dsum, dw, with_bias ? &db : nullptr);
    return std::vector<Array>{dsum, dx, dw, db};
  };
  auto results =
      record({{forward.sum}, {forward.normed.y, norm_again}}, {residual, x, w, b}, backward);
  return {results[0], results[1]};
}

}  // namespace folio
