#include "autograd/ops.h"

#include "autograd/op_checks.h"

namespace folio {
namespace {

// [B, T] i32, each row 0 1 2 ... T-1: the tokens of the position embedding.
Array row_positions(const Array& tokens) {
  std::vector<int32_t> places(size_t(tokens.size()));
  for (size_t i = 0; i < places.size(); ++i) places[i] = int32_t(i % size_t(tokens.dim(1)));
  return to_array(places, tokens.shape(), tokens.device());
}

void check_linear(const char* op, const Tensor& x, const Tensor& w, const Tensor& b) {
  check_values(op, "x", x);
  check_weight(op, "the weight", x, w);
  check_vector(op, "the bias", x, b);
  check(w.shape().rank() == 2 && x.shape().rank() >= 1 && x.dim(-1) == w.dim(1),
        "{}: x {} needs a weight [N, {}], got {}", op, x.shape(), x.dim(-1), w.shape());
  check(!b.defined() || (b.shape().rank() == 1 && b.dim(0) == w.dim(0)),
        "{}: weight {} needs a bias [{}], got {}", op, w.shape(), w.dim(0), b.shape());
}

}  // namespace

Tensor add_dropout(const Tensor& residual, const Tensor& x, const Dropout& dropout) {
  check(!residual.defined() || residual.shape() == x.shape(),
        "add_dropout: residual {} and x {} need one shape", residual.shape(), x.shape());
  check_values("add_dropout", "x", x);
  if (residual.requires_grad()) check_values("add_dropout", "the residual", residual);
  bool wider = residual.dtype() == DType::f32 && x.dtype() == DType::bf16;
  check(!residual.defined() || residual.dtype() == x.dtype() || wider,
        "add_dropout: the residual is {}, but x is {}; it may be float32 over bfloat16, else they "
        "need one dtype",
        residual.dtype(), x.dtype());
  if (!residual.defined() && !dropout.enabled()) return x;
  return record(backend(x.array()).add_dropout(residual.array(), x.array(), dropout), {residual, x},
                [dropout, dtype = x.dtype()](Array dy) {
                  Array dx = dropout.enabled() ? backend(dy).dropout_grad(dy, dropout, dtype)
                                               : to_dtype(dy, dtype);
                  return std::vector<Array>{dy, dx};
                });
}

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b) {
  check_linear("linear", x, w, b);
  Array y = backend(x.array()).linear(x.array(), w.array(), b.array());
  return record(
      y, {x, w, b},
      [x = Saved(x), w = w.array(), with_x = x.requires_grad(), with_bias = b.defined()](Array dy) {
        Backend& device = backend(dy);
        Array dw = device.linear_grad_w(dy, x());
        return std::vector<Array>{with_x ? device.linear_grad_x(dy, w) : Array{}, dw,
                                  with_bias ? device.sum_rows(dy) : Array{}};
      });
}

Tensor feed_forward(const Tensor& x, const Tensor& w_fc, const Tensor& b_fc, const Tensor& w_proj,
                    const Tensor& b_proj, Unary act) {
  check_linear("feed_forward: c_fc", x, w_fc, b_fc);
  check_weight("feed_forward: c_proj", "the weight", x, w_proj);
  check_vector("feed_forward: c_proj", "the bias", x, b_proj);
  check(w_proj.shape().rank() == 2 && w_proj.dim(1) == w_fc.dim(0),
        "feed_forward: c_fc {} needs a c_proj [N, {}], got {}", w_fc.shape(), w_fc.dim(0),
        w_proj.shape());
  check(!b_proj.defined() || b_proj.shape() == Shape{w_proj.dim(0)},
        "feed_forward: c_proj {} needs a bias [{}], got {}", w_proj.shape(), w_proj.dim(0),
        b_proj.shape());
  Backend& device = backend(x.array());
  Array h;  // [..., H], before act
  Array y;
  {
    Array g =
        device.linear(x.array(), w_fc.array(), b_fc.array(), act, NoGrad::active() ? nullptr : &h);
    y = device.linear(g, w_proj.array(), b_proj.array());
  }
  return record(y, {x, w_fc, b_fc, w_proj, b_proj},
                [x = Saved(x), h, w_fc = w_fc.array(), w_proj = w_proj.array(), act,
                 with_b_fc = b_fc.defined(), with_b_proj = b_proj.defined()](Array dy) mutable {
                  Backend& device = backend(dy);
                  Array g;
                  Array dh = device.linear_grad_x(dy, w_proj, act, h, &g);
                  h = {};
                  Array dw_proj = device.linear_grad_w(dy, g);
                  g = {};
                  Array dw_fc = device.linear_grad_w(dh, x());
                  return std::vector<Array>{device.linear_grad_x(dh, w_fc), dw_fc,
                                            with_b_fc ? device.sum_rows(dh) : Array{}, dw_proj,
                                            with_b_proj ? device.sum_rows(dy) : Array{}};
                });
}

Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, DType dtype, double eps) {
  check_values("layer_norm", "x", x);
  check_values("layer_norm", "the weight", w);
  check_vector("layer_norm", "the weight", x, w);
  check_vector("layer_norm", "the bias", x, b);
  check(dtype == x.dtype() || (dtype == DType::bf16 && x.dtype() == DType::f32),
        "layer_norm: of x in {} gives {}, or bfloat16 of float32, not {}", x.dtype(), x.dtype(),
        dtype);
  check(w.shape() == Shape{x.dim(-1)} && (!b.defined() || b.shape() == w.shape()),
        "layer_norm: x {} needs weight and bias [{}], got {} and {}", x.shape(), x.dim(-1),
        w.shape(), b.shape());
  auto forward = [x = x.array(), w = w.array(), b = b.array(), eps, dtype] {
    return backend(x).layer_norm(x, w, b, eps, dtype);
  };
  LayerNormed normed = forward();
  return record(
      normed.y, {x, w, b},
      [x = x.array(), w = w.array(), with_bias = b.defined(), mean = normed.mean,
       rstd = normed.rstd](Array dy) {
        LayerNormGrads grads = backend(dy).layer_norm_grad(dy, x, w, with_bias, mean, rstd);
        return std::vector<Array>{grads.dx, grads.dw, grads.db};
      },
      [forward] { return forward().y; });
}

Tensor embedding(const Array& tokens, const Tensor& wte, const Tensor& wpe, DType dtype,
                 std::span<const int64_t> positions) {
  check(tokens.defined() && tokens.shape().rank() == 2 && tokens.dtype() == DType::i32,
        "embedding: tokens must be [B, T] int32, got {} {}", tokens.shape(), tokens.dtype());
  check_values("embedding", "wte", wte);
  check_values("embedding", "wpe", wpe);
  check(wte.dtype() == wpe.dtype() && (dtype == DType::f64) == (wte.dtype() == DType::f64),
        "embedding: wte is {} and wpe {}, for a result in {}; cast them", wte.dtype(), wpe.dtype(),
        dtype);
  check(wte.shape().rank() == 2 && wpe.shape().rank() == 2 && wte.dim(1) == wpe.dim(1),
        "embedding: wte [V, C] and wpe [P, C] need one C, got {} and {}", wte.shape(), wpe.shape());
  check(!positions.empty() || tokens.dim(1) <= wpe.dim(0),
        "embedding: {} tokens in a row, but only {} positions (block_size)", tokens.dim(1),
        wpe.dim(0));
  check(positions.empty() || int64_t(positions.size()) == tokens.dim(0),
        "embedding: tokens {} need {} first positions, got {}", tokens.shape(), tokens.dim(0),
        positions.size());
  Array y = backend(tokens).embedding(tokens, wte.array(), wpe.array(), positions, dtype);
  bool from_zero = positions.empty();
  return record(y, {wte, wpe}, [tokens, V = wte.dim(0), P = wpe.dim(0), from_zero](Array dy) {
    check(from_zero, "embedding: rows that start past position 0 are for inference only");
    Backend& device = backend(dy);
    Array places = row_positions(tokens);
    return std::vector<Array>{device.embedding_grad(dy, tokens, V),
                              device.embedding_grad(dy, places, P)};
  });
}

Tensor attention(const Tensor& qkv, int64_t n_head, const Dropout& dropout) {
  check_values("attention", "qkv", qkv);
  check(qkv.shape().rank() == 3 && n_head > 0 && qkv.dim(2) % (3 * n_head) == 0,
        "attention: qkv must be [B, T, 3 C] with C divisible by {} heads, got {}", n_head,
        qkv.shape());
  Attended forward = backend(qkv.array()).attention(qkv.array(), n_head, dropout);
  return record(forward.y, {qkv}, [qkv = qkv.array(), forward, n_head, dropout](Array dy) {
    return std::vector<Array>{backend(dy).attention_grad(dy, qkv, forward, n_head, dropout)};
  });
}

Tensor linear_cross_entropy(const Tensor& x, const Tensor& w, const Array& targets) {
  check_linear("linear_cross_entropy", x, w, {});
  check(targets.defined(), "linear_cross_entropy: the targets have no values");
  check(targets.dtype() == DType::i32 && targets.size() == x.array().rows(),
        "linear_cross_entropy: x {} needs {} int32 targets, got {} {}", x.shape(), x.array().rows(),
        targets.shape(), targets.dtype());
  bool with_grad = !NoGrad::active() && (x.requires_grad() || w.requires_grad());
  CrossEntropy result =
      backend(x.array()).linear_cross_entropy(x.array(), w.array(), targets, with_grad);
  return record(result.loss, {x, w}, [dx = result.dx, dw = result.dw](Array dy) mutable {
    backend(dy).scale(dx, dy);
    backend(dy).scale(dw, dy);
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
  return record_node(std::move(y), {x}, backward, nullptr);
}

}  // namespace folio
