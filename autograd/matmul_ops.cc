#include <algorithm>

#include "autograd/op_checks.h"
#include "autograd/ops.h"

namespace folio {
namespace {

void check_matmul(const Tensor& a, const Tensor& b, const MatmulOptions& options) {
  check_values("matmul", "a", a);
  check_values("matmul", "b", b);
  check_device("matmul", "b", a.array(), b.array());
  check(a.dtype() == b.dtype(), "matmul: a is {} {}, but b is {} {}; cast one of them", a.dtype(),
        a.shape(), b.dtype(), b.shape());
  check(a.shape().rank() >= 2 && b.shape().rank() >= 2,
        "matmul: needs matrices or batches of them, got a {} and b {}", a.shape(), b.shape());
  int64_t across = a.dim(options.transpose_a ? -2 : -1),
          down = b.dim(options.transpose_b ? -1 : -2);
  check(across == down,
        "matmul: a {}{} has rows of {}, but b {}{} has columns of {}; they need one size",
        a.shape(), options.transpose_a ? " transposed" : "", across, b.shape(),
        options.transpose_b ? " transposed" : "", down);
  auto batch = [](const Tensor& x) { return x.shape().dims().first(size_t(x.shape().rank() - 2)); };
  check(batch(a).empty() || batch(b).empty() || std::ranges::equal(batch(a), batch(b)),
        "matmul: a {} and b {} need the same leading dimensions, or one of them none", a.shape(),
        b.shape());
}

Array transposed(const Array& x) {
  int rank = x.shape().rank();
  return backend(x)->layout.transpose(x, rank - 2, rank - 1, x.dtype());
}

// The sum over the batch of x^T y, as one product over all rows: x [..., R, M], y [..., R, N]
// -> [M, N].
Array sum_of_products(const Array& x, const Array& y) {
  return backend(x)->products.matmul(x.reshape({x.rows(), x.dim(-1)}),
                                     y.reshape({y.rows(), y.dim(-1)}), true, false);
}

}  // namespace

// With A and B for what is multiplied, transposed or not: dA = dY B^T and dB = A^T dY, summed over
// the batch for a side that has none.
Tensor matmul(const Tensor& a, const Tensor& b, MatmulOptions options) {
  check_matmul(a, b, options);
  const bool flip_a = options.transpose_a, flip_b = options.transpose_b;
  Array y = backend(a.array())->products.matmul(a.array(), b.array(), flip_a, flip_b);
  auto grad_a = [flip_a, flip_b](const Array& a, const Array& b, const Array& dy) {
    if (a.shape().rank() == dy.shape().rank())
      return flip_a ? backend(dy)->products.matmul(b, dy, flip_b, true)
                    : backend(dy)->products.matmul(dy, b, false, !flip_b);
    Array by_column = transposed(dy), b_transposed = flip_b ? b : transposed(b);
    return flip_a ? sum_of_products(b_transposed, by_column)
                  : sum_of_products(by_column, b_transposed);
  };
  auto grad_b = [flip_a, flip_b](const Array& a, const Array& b, const Array& dy) {
    if (b.shape().rank() == dy.shape().rank())
      return flip_b ? backend(dy)->products.matmul(dy, a, true, flip_a)
                    : backend(dy)->products.matmul(a, dy, !flip_a, false);
    Array rows = flip_a ? transposed(a) : a;
    return flip_b ? sum_of_products(dy, rows) : sum_of_products(rows, dy);
  };
  auto backward = [grad_a, grad_b, a = Saved(a), b = Saved(b), with_a = a.requires_grad(),
                   with_b = b.requires_grad()](Array dy) {
    return std::vector<Array>{with_a ? grad_a(a(), b(), dy) : Array{},
                              with_b ? grad_b(a(), b(), dy) : Array{}};
  };
  return record(y, {a, b}, with_dy_in(y.dtype(), backward));
}

}  // namespace folio
