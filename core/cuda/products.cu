#include "core/cuda/cuda_backend.h"
#include "core/cuda/kernels/elementwise.h"
#include "core/cuda/matmul_plan.h"
#include "core/cuda/reductions.h"
#include "core/cuda/stream.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::Matrix;

Shape with_last(Shape shape, int64_t last) {
  shape[-1] = last;
  return shape;
}

// All of x as a matrix [rows, last dimension].
Matrix matrix(const Array& x, bool transposed = false) {
  return {x.address(), x.dtype(), x.rows(), x.dim(-1), transposed};
}

class CudaProductOps final : public ProductOps {
 public:
  Array matmul(const Array& a, const Array& b, bool transpose_a, bool transpose_b) override {
    Shape shape = a.shape().rank() >= b.shape().rank() ? a.shape() : b.shape();
    shape[-2] = a.dim(transpose_a ? -1 : -2);
    shape[-1] = b.dim(transpose_b ? -2 : -1);
    Array y(shape, a.dtype(), a.device());
    if (y.size() == 0) return y;
    if (a.dim(transpose_a ? -2 : -1) == 0) return zeros(shape, a.dtype(), a.device());
    if (b.shape().rank() == 2 && !transpose_a) {  // the rows of all a are one matrix
      cuda::matmul(matrix(a), matrix(b, transpose_b), matrix(y));
      return y;
    }
    auto batch_of = [](const Array& x, bool transposed) {
      const int64_t size = x.dim(-2) * x.dim(-1);
      return Matrix{x.address(), x.dtype(),  x.dim(-2),
                    x.dim(-1),   transposed, x.shape().rank() > 2 ? size : 0};
    };
    cuda::matmul(batch_of(a, transpose_a), batch_of(b, transpose_b), batch_of(y, false),
                 y.size() / (shape[-2] * shape[-1]));
    return y;
  }

  Array linear(const Array& x, const Array& w, const Array& bias, Unary act, Array* pre) override {
    const int64_t N = w.dim(0);
    Array y(with_last(x.shape(), N), x.dtype(), x.device());
    const bool keep = pre && act != Unary::none;
    if (keep) *pre = Array(y.shape(), y.dtype(), x.device());
    if (y.size() == 0) return y;
    // cuBLASLt takes a bias in the result's type.
    const Array weight = in_dtype(w, x.dtype()), shift = in_dtype(bias, x.dtype());
    const Array& sum = keep ? *pre : y;
    cuda::matmul(matrix(x), matrix(weight, true), matrix(sum), 1, false,
                 shift.defined() ? shift.address() : nullptr);
    if (act == Unary::none) return y;
    visit_dtype(x.dtype(), "linear", [&](auto t) {
      using T = decltype(t);
      cuda::unary<T>(act, sum.data<T>(), y.data<T>(), y.size(), cuda::stream());
    });
    return y;
  }

  Array linear_grad_x(const Array& dy, const Array& w, Unary act, const Array& pre,
                      Array* post) override {
    Array dx(with_last(dy.shape(), w.dim(1)), dy.dtype(), dy.device());
    const bool keep = post && act != Unary::none;
    if (keep) *post = Array(dx.shape(), dx.dtype(), dx.device());
    if (dx.size() == 0) return dx;
    const Array weight = in_dtype(w, dy.dtype());
    cuda::matmul(matrix(dy), matrix(weight), matrix(dx));
    if (act == Unary::none) return dx;
    visit_dtype(dy.dtype(), "linear_grad_x", [&](auto t) {
      using T = decltype(t);
      cuda::unary_grad_and_value<T>(act, pre.data<T>(), dx.data<T>(),
                                    keep ? post->data<T>() : nullptr, dx.size(), cuda::stream());
    });
    return dx;
  }

  void linear_grad_w(const Array& dy, const Array& x, Array& dw, Array* db) override {
    const int64_t M = dy.rows(), N = dy.dim(-1), K = x.dim(-1);
    const DType sums = sum_dtype(dy.dtype());
    const bool add = dw.defined() && M > 0;
    if (dw.defined())
      dw.begin_write("linear_grad_w");
    else
      dw = M > 0 ? Array({N, K}, sums, dy.device()) : zeros({N, K}, sums, dy.device());
    if (M > 0) cuda::matmul(matrix(dy, true), matrix(x), matrix(dw), 1, add);
    if (!db) return;
    if (!db->defined()) *db = zeros({N}, sums, dy.device());
    backend(dy)->elementwise.accumulate(*db, cuda::sum_axis(dy, 1, M, N));
  }
};

}  // namespace

ProductOps& cuda_products() {
  static auto& operations = *new CudaProductOps;
  return operations;
}

}  // namespace folio
