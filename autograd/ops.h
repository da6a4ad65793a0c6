#pragma once
#include <vector>

#include "autograd/weight.h"
#include "core/elementwise.h"

namespace folio {

// The differentiable ops. Each checks its shapes, runs its forward on the backend of its input and
// says its gradient, all in one function. Unless an op says otherwise, all its inputs have one
// dtype, and so has its result. An axis below 0 counts from the end. B: batch, T: positions,
// C: channels, V: vocabulary.

// --- of two tensors, element by element; trailing dimensions broadcast as in NumPy: [B, T, C] goes
// with [C], [B, T, 1] or [].
Tensor elementwise(Binary op, const Tensor& a, const Tensor& b);  // op from core/binary_ops.h
template <class Op>
Tensor elementwise(const Tensor& a, const Tensor& b) {
  return elementwise(binary<Op>(), a, b);
}
Tensor add(const Tensor& a, const Tensor& b);
inline Tensor sub(const Tensor& a, const Tensor& b) { return elementwise<Sub>(a, b); }
inline Tensor mul(const Tensor& a, const Tensor& b) { return elementwise<Mul>(a, b); }
inline Tensor div(const Tensor& a, const Tensor& b) { return elementwise<Div>(a, b); }
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }

// --- of one tensor, element by element.
Tensor elementwise(Unary op, const Tensor& x);  // op from core/unary_ops.h
template <class Op>
Tensor elementwise(const Tensor& x) {
  return elementwise(unary<Op>(), x);
}
inline Tensor gelu_erf(const Tensor& x) { return elementwise<GeluErf>(x); }
inline Tensor gelu_tanh(const Tensor& x) { return elementwise<GeluTanh>(x); }
inline Tensor relu(const Tensor& x) { return elementwise<Relu>(x); }
inline Tensor relu2(const Tensor& x) { return elementwise<Relu2>(x); }
inline Tensor sigmoid(const Tensor& x) { return elementwise<Sigmoid>(x); }
inline Tensor silu(const Tensor& x) { return elementwise<Silu>(x); }
inline Tensor tanh(const Tensor& x) { return elementwise<Tanh>(x); }
inline Tensor exp(const Tensor& x) { return elementwise<Exp>(x); }
inline Tensor log(const Tensor& x) { return elementwise<Log>(x); }
inline Tensor square(const Tensor& x) { return elementwise<Square>(x); }
inline Tensor sqrt(const Tensor& x) { return elementwise<Sqrt>(x); }
Tensor scale(const Tensor& x, double factor);
Tensor softcap(const Tensor& x, double cap);  // cap tanh(x / cap)
Tensor swiglu(const Tensor& x);  // [..., 2 F]: silu of the first half times the second -> [..., F]
Tensor cast(const Tensor& x, DType dtype);  // its gradient arrives in x's dtype or wider

// --- over one axis, which is left out of the result or, with `keepdim`, has size 1 there.
Tensor sum(const Tensor& x, int axis, bool keepdim = false);
Tensor mean(const Tensor& x, int axis, bool keepdim = false);
Tensor max(const Tensor& x, int axis, bool keepdim = false);  // gradient: to the first largest

// --- over the last dimension.
Tensor softmax(const Tensor& x);      // e^x / sum(e^x)
Tensor log_softmax(const Tensor& x);  // its logarithm

// --- matrices: a [..., M, K] b [..., K, N] -> [..., M, N]; with transpose_a a is [..., K, M], with
// transpose_b b is [..., N, K]. Leading dimensions are alike, or one side has none and serves all.
struct MatmulOptions {
  bool transpose_a = false, transpose_b = false;
};
Tensor matmul(const Tensor& a, const Tensor& b, MatmulOptions options = {});
// scores [..., T, S], S >= T: query t sees the keys up to S - T + t, all others become -infinity.
Tensor causal_mask(const Tensor& scores);

// --- shapes. All but reshape copy.
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor transpose(const Tensor& x, int i, int j);                      // exchanges two axes
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end);  // [begin, end) of an axis
Tensor concat(const std::vector<Tensor>& parts, int axis);            // one after the other
Tensor take_rows(const Tensor& table, const Array& ids);  // table [V, C], ids [...] i32 -> [..., C]

// --- loss: mean of -log softmax(logits)[target] over the targets that are not -1. logits [..., V],
// targets [...] i32 -> [] f32 (f64 for f64).
Tensor cross_entropy(const Tensor& logits, const Array& targets);

// --- fused: what a transformer spends its time in, said in one op each.

// residual + dropout(x), in the dtype of `residual`, which may be f32 over a bf16 x, or undefined;
// a disabled dropout then passes x through.
Tensor add_dropout(const Tensor& residual, const Tensor& x, const Dropout& dropout);

// In the four ops over a Weight, a dense one has the dtype of x or is f32 under bf16; a packed one
// is an Error unless NoGrad is active.

// act(x w^T + b): x [..., K], w [N, K], b [N] or undefined -> [..., N].
Tensor linear(const Tensor& x, const Weight& w, const Tensor& b, Unary act = Unary::none);

// act(x w_fc^T + b_fc) w_proj^T + b_proj, the transformer's feed-forward layer, as one op: it keeps
// the sums before `act` alone and fuses `act` and its slope into the products. x [..., C],
// w_fc [H, C], w_proj [C, H]; of SwiGLU w_proj [C, H / 2], and it has a pass of its own.
Tensor feed_forward(const Tensor& x, const Weight& w_fc, const Tensor& b_fc, const Weight& w_proj,
                    const Tensor& b_proj, Activation act);

// Over the last dimension, in `dtype`: that of x, or bf16 of an f32 x. w and b may be undefined.
// The result is made again in backward instead of kept. Norm says which:
//   (x - mean) / sqrt(var + eps) w + b (Ba et al., 2016)
//   x / sqrt(mean(x^2) + eps) w (Zhang & Sennrich, 2019)
Tensor norm(const Tensor& x, const Tensor& w, const Tensor& b, const Norm& norm, DType dtype);
inline Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, DType dtype,
                         double eps = 1e-5) {
  return norm(x, w, b, {NormKind::layer, eps}, dtype);
}
inline Tensor rms_norm(const Tensor& x, const Tensor& w, double eps = 1e-5) {
  return norm(x, w, {}, {NormKind::rms, eps}, x.dtype());
}

// sum = residual + dropout(x) and normed = norm(sum) in the dtype of x, in one op: the end of one
// layer of a transformer and the beginning of the next.
struct NormedResidual {
  Tensor sum, normed;
};
NormedResidual add_dropout_norm(const Tensor& residual, const Tensor& x, const Dropout& dropout,
                                const Tensor& w, const Tensor& b, const Norm& norm = {});

// wte[tokens] + wpe[0..T): tokens [B, T] i32, wte [V, C], wpe [P, C], T <= P -> [B, T, C] in
// `dtype`. With `positions` [B] i32 row b starts at positions[b] instead of 0. wpe may be
// undefined: then no position is added.
Tensor embedding(const Array& tokens, const Weight& wte, const Tensor& wpe, DType dtype,
                 const Array& positions = {});

// Causal self-attention of `heads`: qkv [B, T, heads.columns()] -> [B, T, n_head width]; dropout on
// the probabilities.
Tensor attention(const Tensor& qkv, const Heads& heads, const Dropout& dropout);

// What happens to qkv [B, T, heads.columns()] before attention: its queries and keys are normed
// head by head (RMS, times weights [width] that may be undefined), then turned by their positions,
// which are `table`'s (RotaryOps::table); either may be left out.
struct QkNorm {
  bool enabled = false;
  double eps = 1e-5;
  Tensor q, k = {};
};
Tensor rotary(const Tensor& qkv, const Heads& heads, const QkNorm& norm, const Array& table);

// `factor` times the mean cross-entropy of the logits x w^T, capped if `cap` is above 0, against
// targets [...] (i32, -1 ignored): x [..., C], w [V, C] -> scalar f32 (f64 for f64). The logits are
// never held whole.
Tensor linear_cross_entropy(const Tensor& x, const Weight& w, const Array& targets,
                            double factor = 1, double cap = 0);

// f(x), of which x alone is kept until backward: f runs again there (Chen et al., "Training deep
// nets with sublinear memory cost", 2016). f must give the same tensor both times and record x and
// leaves alone; gradients of those leaves arrive as f's own ops sum them.
Tensor recompute(const std::function<Tensor(const Tensor&)>& f, const Tensor& x);

}  // namespace folio
