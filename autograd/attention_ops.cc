#include "autograd/op_checks.h"
#include "autograd/ops.h"

namespace folio {

Tensor attention(const Tensor& qkv, const Heads& heads, const Dropout& dropout) {
  check_values("attention", "qkv", qkv);
  check_heads("attention", qkv, heads);
  Attended forward = backend(qkv.array())->attention.forward(qkv.array(), heads, dropout);
  return record(forward.y, {qkv}, [qkv = Saved(qkv), forward, heads, dropout](Array dy) {
    return std::vector<Array>{backend(dy)->attention.grad(dy, qkv(), forward, heads, dropout)};
  });
}

Tensor rotary(const Tensor& qkv, const Heads& heads, const QkNorm& norm, const Array& table) {
  check_values("rotary", "qkv", qkv);
  check_heads("rotary", qkv, heads);
  for (const auto& [name, w] : {std::pair{"the queries' weight", norm.q}, {"the keys'", norm.k}}) {
    if (!w.defined() && !w.requires_grad()) continue;
    check_parameter("rotary", name, qkv, w);
    check(norm.enabled && w.shape() == Shape{heads.width},
          "rotary: {} is for heads of {} that are normed, got {}", name, heads.width, w.shape());
  }
  if (table.defined()) {
    check(heads.width % 2 == 0, "rotary: turns pairs, but heads have {} elements", heads.width);
    check(table.shape().rank() == 3 && (table.dim(0) == 1 || table.dim(0) == qkv.dim(0)) &&
              table.dim(1) == qkv.dim(1) && table.dim(2) == heads.width,
          "rotary: qkv {} needs a table [1 or {}, {}, {}], got {}", qkv.shape(), qkv.dim(0),
          qkv.dim(1), heads.width, table.shape());
    check_device("rotary", "the table", qkv.array(), table);
    const DType sums = qkv.dtype() == DType::f64 ? DType::f64 : DType::f32;
    check(table.dtype() == sums, "rotary: qkv in {} needs a table in {}, got {}", qkv.dtype(), sums,
          table.dtype());
  }
  if (!norm.enabled && !table.defined()) return qkv;
  const HeadNorm weights{norm.enabled, norm.eps, norm.q.array(), norm.k.array()};
  auto forward = [qkv = Saved(qkv), heads, weights, table] {
    const Array x = qkv();
    return backend(x)->rotary.forward(x, heads, weights, table);
  };
  auto backward = [qkv = norm.enabled ? std::optional<Saved>(qkv) : std::nullopt, heads, weights,
                   table, dq_so_far = GradientSoFar(norm.q),
                   dk_so_far = GradientSoFar(norm.k)](Array dy) {
    Array dq = dq_so_far.take(), dk = dk_so_far.take();
    Array dqkv = backend(dy)->rotary.grad(dy, qkv ? (*qkv)() : Array{}, heads, weights, table,
                                          weights.q.defined() ? &dq : nullptr,
                                          weights.k.defined() ? &dk : nullptr);
    return std::vector<Array>{dqkv, dq, dk};
  };
  // Without a norm the gradient has no need of qkv, so that keeping the result costs nothing.
  if (!norm.enabled) return record(forward(), {qkv, norm.q, norm.k}, backward);
  return record(forward(), {qkv, norm.q, norm.k}, backward, forward);
}

}  // namespace folio
