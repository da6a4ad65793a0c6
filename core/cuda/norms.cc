#include "core/cuda/kernels/norms.h"

#include "core/cuda/cuda_backend.h"
#include "core/cuda/stream.h"
#include "core/devices/norm_results.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::stream;

template <class A>
A* data_of(const Array* x) {
  return x && x->defined() ? x->data<A>() : nullptr;
}

class CudaNormOps final : public NormOps {
 public:
  Normed norm(const Array& x, const Array& w, const Array& b, const Norm& norm,
              DType dtype) override {
    const DType sums = sum_dtype(x.dtype());
    const Array weight = in_dtype(w, sums), bias = in_dtype(b, sums);
    Normed out = unset_norm(x, norm, dtype);
    visit_stream(x.dtype(), dtype, "norm", [&](auto wide, auto narrow) {
      using X = decltype(wide);
      using Y = decltype(narrow);
      using A = SumOf<X>;
      if (x.size() == 0) return;
      cuda::norm<X, Y, A>(x.data<X>(), data_of<A>(&weight), data_of<A>(&bias), norm.eps,
                          out.y.data<Y>(), data_of<A>(&out.mean), out.rstd.data<A>(), x.rows(),
                          int(x.dim(-1)), stream());
    });
    return out;
  }

  Array norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                  const Array& rstd, Array& dw, Array* db) override {
    begin_norm_sums("norm_grad", x, w, dw, db);
    Array dx(x.shape(), x.dtype(), x.device());
    if (x.size() == 0) return dx;
    const int C = int(x.dim(-1));
    const Array weight = in_dtype(w, sum_dtype(x.dtype())), scratch = grad_scratch(x);
    visit_stream(x.dtype(), dy.dtype(), "norm_grad", [&](auto wide, auto narrow) {
      using X = decltype(wide);
      using Y = decltype(narrow);
      using A = SumOf<X>;
      cuda::norm_grad<X, Y, A>(dy.data<Y>(), x.data<X>(), data_of<A>(&weight), data_of<A>(&mean),
                               rstd.data<A>(), dx.data<X>(),
                               data_of<A>(w.defined() ? &dw : nullptr), data_of<A>(db),
                               scratch.data<A>(), x.rows(), C, stream());
    });
    return dx;
  }

  NormedSum add_dropout_norm(const Array& residual, const Array& x, const Dropout& dropout,
                             const Array& w, const Array& b, const Norm& norm) override {
    if (!fits(residual, x)) {
      Array sum = backend(x)->random.add_dropout(residual, x, dropout);
      return {sum, this->norm(sum, w, b, norm, x.dtype())};
    }
    const DType sums = sum_dtype(x.dtype());
    const Array weight = in_dtype(w, sums), bias = in_dtype(b, sums);
    NormedSum out{Array(x.shape(), residual.dtype(), x.device()), unset_norm(x, norm, x.dtype())};
    if (x.size() == 0) return out;
    visit_stream(residual.dtype(), x.dtype(), "add_dropout_norm", [&](auto wide, auto narrow) {
      using X = decltype(wide);
      using Y = decltype(narrow);
      using A = SumOf<X>;
      cuda::add_dropout_norm<X, Y, A>(
          {residual.data<X>(), x.data<Y>(), data_of<A>(&weight), data_of<A>(&bias), norm.eps,
           dropout, out.sum.data<X>(), out.normed.y.data<Y>(), data_of<A>(&out.normed.mean),
           out.normed.rstd.data<A>(), x.rows(), int(x.dim(-1))},
          stream());
    });
    return out;
  }

  Array add_dropout_norm_grad(const Array& dy, const Array& sum, const Array& w, const Array& mean,
                              const Array& rstd, const Dropout& dropout, Array& dsum, Array& dw,
                              Array* db) override {
    constexpr const char* name = "add_dropout_norm_grad";
    const bool is_same = is_one_gradient(dy, sum, dropout);
    if (!fits(sum, dy)) {
      Array grad = norm_grad(dy, sum, w, mean, rstd, dw, db);
      if (dsum.defined())
        backend(sum)->elementwise.accumulate(dsum, grad);
      else
        dsum = grad;
      return is_same ? dsum : backend(sum)->random.dropout_grad(dsum, dropout, dy.dtype());
    }
    begin_norm_sums(name, sum, w, dw, db);
    const bool adds = dsum.defined();
    if (!adds) dsum = Array(sum.shape(), sum.dtype(), sum.device());
    dsum.begin_write(name);
    Array dx = is_same ? dsum : Array(dy.shape(), dy.dtype(), dy.device());
    if (sum.size() == 0) return dx;
    const Array weight = in_dtype(w, sum_dtype(sum.dtype())), scratch = grad_scratch(sum);
    visit_stream(sum.dtype(), dy.dtype(), "add_dropout_norm_grad", [&](auto wide, auto narrow) {
      using X = decltype(wide);
      using Y = decltype(narrow);
      using A = SumOf<X>;
      cuda::add_dropout_norm_grad<X, Y, A>(
          dy.data<Y>(), sum.data<X>(), data_of<A>(&weight), data_of<A>(&mean), rstd.data<A>(),
          dropout, adds, dsum.data<X>(), is_same ? nullptr : dx.data<Y>(),
          data_of<A>(w.defined() ? &dw : nullptr), data_of<A>(db), scratch.data<A>(), sum.rows(),
          int(sum.dim(-1)), stream());
    });
    return dx;
  }

 private:
  static Array grad_scratch(const Array& x) {
    return Array({cuda::norm_grad_scratch(x.rows(), int(x.dim(-1)))}, sum_dtype(x.dtype()),
                 x.device());
  }
  // Whether rows are short enough for the kernels that take more than one step at a time.
  static bool fits(const Array& sum, const Array& x) {
    return visit_stream(sum.dtype(), x.dtype(), "add_dropout_norm", [&](auto wide, auto narrow) {
      using X = decltype(wide);
      return cuda::fits_add_dropout_norm<X, decltype(narrow), SumOf<X>>(int(x.dim(-1)));
    });
  }
};

}  // namespace

NormOps& cuda_norms() {
  static auto& operations = *new CudaNormOps;
  return operations;
}

}  // namespace folio
