#pragma once
#include "core/array.h"
#include "core/elementwise.h"

namespace folio {

// Products of matrices.
class ProductOps {
 public:
  virtual ~ProductOps() = default;

  // a b of each pair of matrices: a [..., M, K] ([..., K, M] if transposed), b [..., K, N] ([...,
  // N, K]), of one dtype; leading dimensions alike, or one side has none and its matrix is used for
  // all -> [..., M, N].
  virtual Array matmul(const Array& a, const Array& b, bool transpose_a, bool transpose_b) = 0;
  // act(x w^T + bias): x [..., K], w [N, K], bias [N] (optional) -> [..., N]. `act` may be
  // Unary::none; otherwise, if `pre` is given, it receives the sum before `act`.
  virtual Array linear(const Array& x, const Array& w, const Array& bias, Unary act = Unary::none,
                       Array* pre = nullptr) = 0;
  // dy w, times the slope of `act` at `pre` unless `act` is none: dy [..., N], w [N, K],
  // pre [..., K] -> [..., K]. If `post` is given it receives act(pre), which the caller needs for
  // dw.
  virtual Array linear_grad_x(const Array& dy, const Array& w, Unary act = Unary::none,
                              const Array& pre = {}, Array* post = nullptr) = 0;
  // Adds dy^T x to dw and, if it is given, the sum of dy's rows to db: dy [..., N], x [..., K],
  // dw [N, K], db [N].
  virtual void linear_grad_w(const Array& dy, const Array& x, Array& dw, Array* db = nullptr) = 0;
};

}  // namespace folio
