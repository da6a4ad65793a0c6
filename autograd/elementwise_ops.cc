#include "autograd/op_checks.h"
#include "autograd/ops.h"

namespace folio {
namespace {

void check_pair(const char* op, const Tensor& a, const Tensor& b) {
  check_values(op, "a", a);
  check_values(op, "b", b);
  check_device(op, "b", a.array(), b.array());
  check(a.dtype() == b.dtype(), "{}: a is {} {}, but b is {} {}; cast one of them", op, a.dtype(),
        a.shape(), b.dtype(), b.shape());
  check(broadcast(a.shape(), b.shape()).has_value(),
        "{}: a {} and b {} do not fit: counted from the last, two dimensions must be equal, or one "
        "of them 1 or missing",
        op, a.shape(), b.shape());
}

Saved shape_alone(const Tensor& x) { return Tensor(Array::shape_only(x.shape(), x.dtype())); }

}  // namespace

Tensor elementwise(Binary op, const Tensor& a, const Tensor& b) {
  bool keeps = false;
  visit_binary(op, [&](auto function) {
    check_pair(function.name.data(), a, b);
    keeps = function.keeps;
  });
  Array y = backend(a.array())->broadcast.binary(op, a.array(), b.array());
  auto backward = [op, left = keeps ? Saved(a) : shape_alone(a),
                   right = keeps ? Saved(b) : shape_alone(b), with_a = a.requires_grad(),
                   with_b = b.requires_grad()](Array dy) {
    auto grad = [&](Side side) {
      return backend(dy)->broadcast.binary_grad(op, side, left(), right(), dy);
    };
    return std::vector<Array>{with_a ? grad(Side::a) : Array{}, with_b ? grad(Side::b) : Array{}};
  };
  return record(y, {a, b}, with_dy_in(y.dtype(), backward));
}

Tensor add(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return elementwise<Add>(a, b);
  check_pair("add", a, b);
  return record(backend(a.array())->elementwise.add(a.array(), b.array()), {a, b}, [](Array dy) {
    return std::vector<Array>{dy, dy};
  });
}

Tensor swiglu(const Tensor& x) {
  check_values("swiglu", "x", x);
  check(x.shape().rank() > 0 && x.dim(-1) % 2 == 0, "swiglu: x must be [..., 2 F], got {}",
        x.shape());
  return record(backend(x.array())->elementwise.swiglu(x.array()), {x}, [x = Saved(x)](Array dy) {
    return std::vector<Array>{backend(dy)->elementwise.swiglu_grad(x(), dy)};
  });
}

Tensor softcap(const Tensor& x, double cap) {
  check_values("softcap", "x", x);
  check(cap > 0, "softcap: must be above 0, got {}", cap);
  return scale(tanh(scale(x, 1 / cap)), cap);
}

Tensor scale(const Tensor& x, double factor) {
  check_values("scale", "x", x);
  auto scaled = [factor](const Array& from) {
    Array to = backend(from)->elementwise.cast(from, from.dtype());
    backend(to)->elementwise.scale(to, factor);
    return to;
  };
  return record(scaled(x.array()), {x}, [=](Array dy) { return std::vector<Array>{scaled(dy)}; });
}

Tensor cast(const Tensor& x, DType dtype) {
  check_values("cast", "x", x);
  check(dtype == DType::f64 || dtype == DType::f32 || dtype == DType::bf16,
        "cast: to float64, float32 or bfloat16, not {}", dtype);
  if (x.dtype() == dtype) return x;
  DType from = x.dtype();
  return record(backend(x.array())->elementwise.cast(x.array(), dtype), {x},
                [from](Array dy) { return std::vector<Array>{to_dtype(dy, from)}; });
}

Tensor elementwise(Unary op, const Tensor& x) {
  visit_unary(op, [&](auto function) { check_values(function.name.data(), "x", x); });
  auto backward = [op, x = Saved(x)](Array dy) {
    return std::vector<Array>{backend(dy)->elementwise.unary_grad(op, x(), dy)};
  };
  return record(backend(x.array())->elementwise.unary(op, x.array()), {x},
                with_dy_in(x.dtype(), backward));
}

}  // namespace folio
