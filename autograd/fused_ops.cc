#include "autograd/ops.h"

#include "autograd/op_checks.h"

namespace folio {
namespace {

void check_linear(const char* op, const Tensor& x, const Weight& w, const Tensor& b) {
  check_values(op, "x", x);
  check_weight(op, "the weight", x, w);
  check_optional(op, "the bias", x, b);
  const Shape& shape = w.shape();
  check(shape.rank() == 2 && x.shape().rank() >= 1 && x.dim(-1) == shape[1],
        "{}: x {} needs a weight [N, {}], got {}", op, x.shape(), x.dim(-1), shape);
  check(!b.defined() || b.shape() == Shape{shape[0]}, "{}: weight {} needs a bias [{}], got {}", op,
        shape, shape[0], b.shape());
}

}  // namespace

Tensor linear(const Tensor& x, const Weight& w, const Tensor& b, Unary act) {
  check_linear("linear", x, w, b);
  if (w.is_packed()) return backend(x.array())->packed.linear(x.array(), w.packed, b.array(), act);
  Array values = w.dense.in(x.dtype()), pre;  // pre: the sums before act
  Array y = backend(x.array())->products.linear(x.array(), values, b.array(), act,
                                                NoGrad::active() ? nullptr : &pre);
  return record(y, {x, w.dense, b},
                [x = Saved(x), w = values, pre, act, with_x = x.requires_grad(),
                 dw_so_far = GradientSoFar(w.dense), db_so_far = GradientSoFar(b),
                 with_bias = b.defined()](Array dy) {
                  if (act != Unary::none) dy = backend(dy)->elementwise.unary_grad(act, pre, dy);
                  Array dw = dw_so_far.take(), db = db_so_far.take();
                  backend(dy)->products.linear_grad_w(dy, x(), dw, with_bias ? &db : nullptr);
                  return std::vector<Array>{
                      with_x ? backend(dy)->products.linear_grad_x(dy, w) : Array{}, dw, db};
                });
}

Tensor feed_forward(const Tensor& x, const Weight& w_fc, const Tensor& b_fc, const Weight& w_proj,
                    const Tensor& b_proj, Activation act) {
  check_linear("feed_forward: c_fc", x, w_fc, b_fc);
  check_weight("feed_forward: c_proj", "the weight", x, w_proj);
  check_optional("feed_forward: c_proj", "the bias", x, b_proj);
  const Shape &fc = w_fc.shape(), &proj = w_proj.shape();
  const bool gated = act.is_gated;
  check(!gated || fc[0] % 2 == 0, "feed_forward: swiglu needs a c_fc [2 F, C], got {}", fc);
  const int64_t hidden = gated ? fc[0] / 2 : fc[0];
  check(proj.rank() == 2 && proj[1] == hidden,
        "feed_forward: c_fc {} needs a c_proj [N, {}], got {}", fc, hidden, proj);
  check(!b_proj.defined() || b_proj.shape() == Shape{proj[0]},
        "feed_forward: c_proj {} needs a bias [{}], got {}", proj, proj[0], b_proj.shape());
  if (w_fc.is_packed() || w_proj.is_packed())
    return linear(gated ? swiglu(linear(x, w_fc, b_fc)) : linear(x, w_fc, b_fc, act.op), w_proj,
                  b_proj);

  Array fc_values = w_fc.dense.in(x.dtype()), proj_values = w_proj.dense.in(x.dtype());
  Array h;  // [..., H], before act
  Array y;
  {
    Array g = backend(x.array())->products.linear(x.array(), fc_values, b_fc.array(),
                                                  gated ? Unary::none : act.op,
                                                  NoGrad::active() ? nullptr : &h);
    if (gated) {
      h = g;
      g = backend(h)->elementwise.swiglu(h);
    }
    y = backend(x.array())->products.linear(g, proj_values, b_proj.array());
  }
  return record(y, {x, w_fc.dense, b_fc, w_proj.dense, b_proj},
                [x = Saved(x), h, fc_values, proj_values, act, with_b_fc = b_fc.defined(),
                 with_b_proj = b_proj.defined(), dw_fc_so_far = GradientSoFar(w_fc.dense),
                 db_fc_so_far = GradientSoFar(b_fc), dw_proj_so_far = GradientSoFar(w_proj.dense),
                 db_proj_so_far = GradientSoFar(b_proj)](Array dy) mutable {
                  Array g, dh;
                  if (act.is_gated) {
                    Array dg = backend(dy)->products.linear_grad_x(dy, proj_values);
                    dh = backend(dy)->elementwise.swiglu_grad(h, dg, &g);
                  } else {
                    dh = backend(dy)->products.linear_grad_x(dy, proj_values, act.op, h, &g);
                  }
                  h = {};
                  Array dw_proj = dw_proj_so_far.take(), db_proj = db_proj_so_far.take();
                  backend(dy)->products.linear_grad_w(dy, g, dw_proj,
                                                      with_b_proj ? &db_proj : nullptr);
                  g = {};
                  Array dw_fc = dw_fc_so_far.take(), db_fc = db_fc_so_far.take();
                  backend(dy)->products.linear_grad_w(dh, x(), dw_fc, with_b_fc ? &db_fc : nullptr);
                  return std::vector<Array>{backend(dy)->products.linear_grad_x(dh, fc_values),
                                            dw_fc, db_fc, dw_proj, db_proj};
                });
}

Tensor embedding(const Array& tokens, const Weight& wte, const Tensor& wpe, DType dtype,
                 const Array& positions) {
  check(tokens.defined() && tokens.shape().rank() == 2 && tokens.dtype() == DType::i32,
        "embedding: tokens must be [B, T] int32, got {} {}", tokens.shape(), tokens.dtype());
  const bool with_wpe = wpe.defined() || wpe.requires_grad();
  if (with_wpe) {
    check_values("embedding", "wpe", wpe);
    check_device("embedding", "wpe", tokens, wpe.array());
    check_weight("embedding", "wte", wpe, wte);
    check(wte.dense.dtype() == wpe.dtype(), "embedding: wte is {} and wpe {}; cast one of them",
          wte.dense.dtype(), wpe.dtype());
  } else if (wte.is_packed()) {
    check(NoGrad::active(), "embedding: wte is packed, for inference alone: open a NoGrad scope");
    check_device("embedding", "wte", tokens, wte.packed.data);
  } else {
    check_values("embedding", "wte", wte.dense);
    check_device("embedding", "wte", tokens, wte.dense.array());
  }
  check((dtype == DType::f64) == (wte.dense.dtype() == DType::f64),
        "embedding: wte is {}, for a result in {}; cast one of them", wte.dense.dtype(), dtype);
  const Shape &V_C = wte.shape(), &P_C = wpe.shape();
  check(V_C.rank() == 2 && (!with_wpe || (P_C.rank() == 2 && V_C[1] == P_C[1])),
        "embedding: wte [V, C] and wpe [P, C] need one C, got {} and {}", V_C, P_C);
  check_ids("embedding", "tokens", tokens, 0, V_C[0]);
  check(!with_wpe || tokens.dim(1) <= P_C[0],
        "embedding: {} tokens in a row, but only {} positions (block_size)", tokens.dim(1),
        with_wpe ? P_C[0] : 0);
  if (with_wpe && positions.defined()) {
    check(positions.dtype() == DType::i32 && positions.shape() == Shape{tokens.dim(0)},
          "embedding: tokens {} need first positions [{}] int32, got {} {}", tokens.shape(),
          tokens.dim(0), positions.shape(), positions.dtype());
    check_device("embedding", "the array of positions", tokens, positions);
    check_ids("embedding", "first positions", positions, 0, P_C[0] - tokens.dim(1) + 1);
  }
  if (wte.is_packed())
    return backend(tokens)->embeddings.embedding(tokens, wte.packed, wpe.array(), positions, dtype);
  Array y = backend(tokens)->embeddings.embedding(tokens, wte.dense.array(), wpe.array(), positions,
                                                  dtype);
  bool from_zero = !with_wpe || !positions.defined();
  return record(
      y, {wte.dense, wpe},
      [tokens, from_zero, with_wpe, dwte_so_far = GradientSoFar(wte.dense),
       dwpe_so_far = GradientSoFar(wpe)](Array dy) {
        check(from_zero, "embedding: rows that start past position 0 are for inference only");
        Array dwte = dwte_so_far.take(), dwpe = dwpe_so_far.take();
        backend(dy)->embeddings.embedding_grad(dy, tokens, dwte, with_wpe ? &dwpe : nullptr);
        return std::vector<Array>{dwte, dwpe};
      });
}

Tensor linear_cross_entropy(const Tensor& x, const Weight& w, const Array& targets, double factor,
                            double softcap) {
  check_linear("linear_cross_entropy", x, w, {});
  check(targets.defined() && targets.size() == x.array().rows(),
        "linear_cross_entropy: x {} needs {} int32 targets, got {} {}", x.shape(), x.array().rows(),
        targets.shape(), targets.dtype());
  check_device("linear_cross_entropy", "the array of targets", x.array(), targets);
  check_ids("linear_cross_entropy", "targets", targets, -1, w.shape()[0]);
  if (w.is_packed()) {
    Array loss =
        backend(x.array())->losses.linear_cross_entropy(x.array(), w.packed, targets, softcap);
    backend(x.array())->elementwise.scale(loss, factor);
    return loss;
  }
  bool with_grad = !NoGrad::active() && (x.requires_grad() || w.dense.requires_grad());
  CrossEntropy result = backend(x.array())->losses.linear_cross_entropy(
      x.array(), w.dense.in(x.dtype()), targets, with_grad, factor, softcap);
  return record(result.loss, {x, w.dense}, [dx = result.dx, dw = result.dw](Gradient dy) mutable {
    if (!dy.is_one) {
      backend(dy)->elementwise.scale(dx, dy);
      backend(dy)->elementwise.scale(dw, dy);
    }
    return std::vector<Array>{std::move(dx), std::move(dw)};
  });
}

Tensor recompute(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  check_values("recompute", "x", x);
  if (NoGrad::active()) return f(x);
  Array y;
  {
    NoGrad keep_nothing;
    y = f(x).array();
  }
  // Recorded whether or not x needs a gradient: the leaves inside f may.
  auto backward = [f, x = x.array()](Array dy) {
    Tensor again = Tensor::leaf(x);
    f(again).backward(std::move(dy));
    return std::vector<Array>{again.grad()};
  };
  return record_node(std::move(y), {x}, backward);
}

}  // namespace folio
