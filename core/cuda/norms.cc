#include "core/cuda/kernels/norms.h"

#include "core/cuda/cuda_backend.h"
#include "core/cuda/stream.h"
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
  LayerNormed layer_norm(const Array& x, const Array& w, const Array& b, double eps,
                         DType dtype) override {
    const DType sums = sum_dtype(x.dtype());
    const Array weight = in_dtype(w, sums), bias = in_dtype(b, sums);
    LayerNormed out{Array(x.shape(), dtype, x.device()),
                    Array({x.rows()}, weight.dtype(), x.device()),
                    Array({x.rows()}, weight.dtype(), x.device())};
    visit_stream(x.dtype(), dtype, "layer_norm", [&](auto wide, auto narrow) {
      using X = decltype(wide);
      using Y = decltype(narrow);
      using A = SumOf<X>;
      if (x.size() == 0) return;
      cuda::layer_norm<X, Y, A>(x.data<X>(), weight.data<A>(), data_of<A>(&bias), eps,
                                out.y.data<Y>(), out.mean.data<A>(), out.rstd.data<A>(), x.rows(),
                                int(x.dim(-1)), stream());
    });
    return out;
  }

  Array layer_norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                        const Array& rstd, Array& dw, Array* db) override {
    const Array weight = in_dtype(w, sum_dtype(x.dtype()));
    if (!dw.defined()) dw = zeros(w.shape(), weight.dtype(), x.device());
    if (db && !db->defined()) *db = zeros(w.shape(), weight.dtype(), x.device());
    Array dx(x.shape(), x.dtype(), x.device());
    if (x.size() == 0) return dx;
    const int C = int(x.dim(-1));
    const Array scratch({cuda::layer_norm_grad_scratch(x.rows(), C)}, weight.dtype(), x.device());
    visit_stream(x.dtype(), dy.dtype(), "layer_norm_grad", [&](auto wide, auto narrow) {
      using X = decltype(wide);
      using Y = decltype(narrow);
      using A = SumOf<X>;
      cuda::layer_norm_grad<X, Y, A>(dy.data<Y>(), x.data<X>(), weight.data<A>(), mean.data<A>(),
                                     rstd.data<A>(), dx.data<X>(), dw.data<A>(), data_of<A>(db),
                                     scratch.data<A>(), x.rows(), C, stream());
    });
    return dx;
  }
};

}  // namespace

NormOps& cuda_norms() {
  static auto& operations = *new CudaNormOps;
  return operations;
}

}  // namespace folio
