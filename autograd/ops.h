#pragma once
#include <string_view>
#include <vector>

#include "autograd/weight.h"

namespace folio {

// The differentiable ops. Each checks its shapes, runs its forward on the backend of its input and
// says its gradient, all in one function. B: batch, T: positions, C: channels, V: vocabulary.

Tensor add(const Tensor& a, const Tensor& b);  // same shape and dtype
Tensor scale(const Tensor& x, double factor);
Tensor cast(const Tensor& x, DType dtype);  // its gradient arrives in x's dtype or wider

// Op from core/elementwise.h, on any shape.
Tensor elementwise(Unary op, const Tensor& x);
template <class Op>
Tensor elementwise(const Tensor& x) {
  return elementwise(unary<Op>(), x);
}

// residual + dropout(x), in the dtype of `residual`, which may be f32 over a bf16 x, or undefined;
// a disabled dropout then passes x through.
Tensor add_dropout(const Tensor& residual, const Tensor& x, const Dropout& dropout);

// In the four ops over a Weight, a dense one has the dtype of x or is f32 under bf16; a packed one
// is an Error unless NoGrad is active.

// act(x w^T + b): x [..., K], w [N, K], b [N] or undefined -> [..., N].
Tensor linear(const Tensor& x, const Weight& w, const Tensor& b, Unary act = Unary::none);

// act(x w_fc^T + b_fc) w_proj^T + b_proj, the transformer's feed-forward layer, as one op: it keeps
// the sums before `act` alone and fuses `act` and its slope into the products. x [..., C],
// w_fc [H, C], w_proj [C, H].
Tensor feed_forward(const Tensor& x, const Weight& w_fc, const Tensor& b_fc, const Weight& w_proj,
                    const Tensor& b_proj, Unary act);

// (x - mean) / sqrt(var + eps) w + b over the last dimension (Ba et al., 2016), in `dtype`: that of
// x, or bf16 of an f32 x. b may be undefined. The result is made again in backward instead of kept.
Tensor layer_norm(const Tensor& x, const Tensor& w, const Tensor& b, DType dtype,
                  double eps = 1e-5);

// wte[tokens] + wpe[0..T): tokens [B, T] i32, wte [V, C], wpe [P, C], T <= P -> [B, T, C] in
// `dtype`. With `positions` (one a row of tokens) row b starts at positions[b] instead of 0.
Tensor embedding(const Array& tokens, const Weight& wte, const Tensor& wpe, DType dtype,
                 std::span<const int64_t> positions = {});

// Multi-head causal self-attention: qkv [B, T, 3C] -> [B, T, C]; dropout on the probabilities.
Tensor attention(const Tensor& qkv, int64_t n_head, const Dropout& dropout);

// `factor` times the mean cross-entropy of the logits x w^T against targets [...] (i32, -1
// ignored): x [..., C], w [V, C] -> scalar f32 (f64 for f64). The logits are never held whole.
Tensor linear_cross_entropy(const Tensor& x, const Weight& w, const Array& targets,
                            double factor = 1);

// f(x), of which x alone is kept until backward: f runs again there (Chen et al., "Training deep
// nets with sublinear memory cost", 2016). f must give the same tensor both times and record x and
// leaves alone; gradients of those leaves arrive as f's own ops sum them.
Tensor recompute(const std::function<Tensor(const Tensor&)>& f, const Tensor& x);

// Every op above, by name: the test of ops fails for one without a row in its table.
const std::vector<std::string_view>& op_names();

}  // namespace folio
