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

void check_norm(const char* op, const Tensor& x, const Tensor& w, const Tensor& b) {
  check_parameter(op, "the weight", x, w);
  check_optional(op, "the bias", x, b);
  check(w.shape() == Shape{x.dim(-1)} && (!b.defined() || b.shape() == w.shape()),
        "{}: x {} needs weight and bias [{}], got {} and {}", op, x.shape(), x.dim(-1), w.shape(),
        b.shape());
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
                    const Tensor& b_proj, Unary act) {
  check_linear("feed_forward: c_fc", x, w_fc, b_fc);
  check_weight("feed_forward: c_proj", "the weight", x, w_proj);
  check_optional("feed_forward: c_proj", "the bias", x, b_proj);
  const Shape &fc = w_fc.shape(), &proj = w_proj.shape();
  check(proj.rank() == 2 && proj[1] == fc[0],
        "feed_forward: c_fc {} needs a c_proj [N, {}], got {}", fc, fc[0], proj);
  check(!b_proj.defined() || b_proj.shape() == Shape{proj[0]},
        "feed_forward: c_proj {} needs a bias [{}], got {}", proj, proj[0], b_proj.shape());
  if (w_fc.is_packed() || w_proj.is_packed())
    return linear(linear(x, w_fc, b_fc, act), w_proj, b_proj);

  Array fc_values = w_fc.dense.in(x.dtype()), proj_values = w_proj.dense.in(x.dtype());
  Array h;  // [..., H], before act
  Array y;
  {
    Array g = backend(x.array())->products.linear(x.array(), fc_values, b_fc.array(), act,
                                                  NoGrad::active() ? nullptr : &h);
    y = backend(x.array())->products.linear(g, proj_values, b_proj.array());
  }
  return record(y, {x, w_fc.dense, b_fc, w_proj.dense, b_proj},
                [x = Saved(x), h, fc_values, proj_values, act, with_b_fc = b_fc.defined(),
                 with_b_proj = b_proj.defined(), dw_fc_so_far = GradientSoFar(w_fc.dense),
                 db_fc_so_far = GradientSoFar(b_fc), dw_proj_so_far = GradientSoFar(w_proj.dense),
                 db_proj_so_far = GradientSoFar(b_proj)](Array dy) mutable {
                  Array g;
                  Array dh = backend(dy)->products.linear_grad_x(dy, proj_values, act, h, &g);
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

Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, DType dtype, double eps) {
  check_values("layer_norm", "x", x);
  check_norm("layer_norm", x, w, b);
  check(dtype == x.dtype() || (dtype == DType::bf16 && x.dtype() == DType::f32),
        "layer_norm: of x in {} gives {}, or bfloat16 of float32, not {}", x.dtype(), x.dtype(),
        dtype);
  auto forward = [x = x.array(), w = w.array(), b = b.array(), eps, dtype] {
    return backend(x)->norms.norm(x, w, b, {NormKind::layer, eps}, dtype);
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

NormedResidual add_dropout_layer_norm(const Tensor& residual, const Tensor& x,
                                      const Dropout& dropout, const Tensor& w, const Tensor& b,
                                      double eps) {
  constexpr const char* name = "add_dropout_layer_norm";
  check_values(name, "x", x);
  check_residual(name, residual, x);
  check_norm(name, x, w, b);
  NormedSum forward = backend(x.array())->norms.add_dropout_norm(
      residual.array(), x.array(), dropout, w.array(), b.array(), {NormKind::layer, eps});
  auto norm_again = [sum = forward.sum, w = w.array(), b = b.array(), eps, dtype = x.dtype()] {
    return backend(sum)->norms.norm(sum, w, b, {NormKind::layer, eps}, dtype).y;
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

Tensor embedding(const Array& tokens, const Weight& wte, const Tensor& wpe, DType dtype,
                 const Array& positions) {
  check(tokens.defined() && tokens.shape().rank() == 2 && tokens.dtype() == DType::i32,
        "embedding: tokens must be [B, T] int32, got {} {}", tokens.shape(), tokens.dtype());
  check_values("embedding", "wpe", wpe);
  check_device("embedding", "wpe", tokens, wpe.array());
  check_weight("embedding", "wte", wpe, wte);
  check(wte.dense.dtype() == wpe.dtype() && (dtype == DType::f64) == (wpe.dtype() == DType::f64),
        "embedding: wte is {} and wpe {}, for a result in {}; cast them", wte.dense.dtype(),
        wpe.dtype(), dtype);
  const Shape &V_C = wte.shape(), &P_C = wpe.shape();
  check(V_C.rank() == 2 && P_C.rank() == 2 && V_C[1] == P_C[1],
        "embedding: wte [V, C] and wpe [P, C] need one C, got {} and {}", V_C, P_C);
  check_ids("embedding", "tokens", tokens, 0, V_C[0]);
  check(tokens.dim(1) <= P_C[0],
        "embedding: {} tokens in a row, but only {} positions (block_size)", tokens.dim(1), P_C[0]);
  if (positions.defined()) {
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
  bool from_zero = !positions.defined();
  return record(y, {wte.dense, wpe},
                [tokens, from_zero, dwte_so_far = GradientSoFar(wte.dense),
                 dwpe_so_far = GradientSoFar(wpe)](Array dy) {
                  check(from_zero,
                        "embedding: rows that start past position 0 are for inference only");
                  Array dwte = dwte_so_far.take(), dwpe = dwpe_so_far.take();
                  backend(dy)->embeddings.embedding_grad(dy, tokens, dwte, &dwpe);
                  return std::vector<Array>{dwte, dwpe};
                });
}

Tensor attention(const Tensor& qkv, const Heads& heads, const Dropout& dropout) {
  check_values("attention", "qkv", qkv);
  check_heads("attention", qkv, heads);
  Attended forward = backend(qkv.array())->attention.forward(qkv.array(), heads, dropout);
  return record(forward.y, {qkv}, [qkv = qkv.array(), forward, heads, dropout](Array dy) {
    return std::vector<Array>{backend(dy)->attention.grad(dy, qkv, forward, heads, dropout)};
  });
}

Tensor linear_cross_entropy(const Tensor& x, const Weight& w, const Array& targets, double factor) {
  check_linear("linear_cross_entropy", x, w, {});
  check(targets.defined() && targets.size() == x.array().rows(),
        "linear_cross_entropy: x {} needs {} int32 targets, got {} {}", x.shape(), x.array().rows(),
        targets.shape(), targets.dtype());
  check_device("linear_cross_entropy", "the array of targets", x.array(), targets);
  check_ids("linear_cross_entropy", "targets", targets, -1, w.shape()[0]);
  if (w.is_packed()) {
    Array loss = backend(x.array())->losses.linear_cross_entropy(x.array(), w.packed, targets);
    backend(x.array())->elementwise.scale(loss, factor);
    return loss;
  }
  bool with_grad = !NoGrad::active() && (x.requires_grad() || w.dense.requires_grad());
  CrossEntropy result = backend(x.array())->losses.linear_cross_entropy(
      x.array(), w.dense.in(x.dtype()), targets, with_grad, factor);
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
