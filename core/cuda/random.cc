#include "core/cuda/cuda_backend.h"
#include "core/cuda/kernels/dropout.h"
#include "core/cuda/stream.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

class CudaRandomOps final : public RandomOps {
 public:
  // Drawn on the CPU, so that a seed starts the same model on every device.
  void normal(Array& x, double mean, double std, RandomStream stream) override {
    Array drawn(x.shape(), x.dtype(), cpu);
    backend(cpu)->random.normal(drawn, mean, std, stream);
    backend(x)->memory.write([&](void* host) { backend(cpu)->memory.read(drawn, host); }, x);
  }

  Array add_dropout(const Array& residual, const Array& x, const Dropout& dropout) override {
    if (!dropout.enabled())
      return residual.defined() ? backend(x)->elementwise.add(residual, x)
                                : backend(x)->elementwise.cast(x, x.dtype());
    Array y(x.shape(), residual.defined() ? residual.dtype() : x.dtype(), x.device());
    visit_stream(y.dtype(), x.dtype(), "add_dropout", [&](auto wide, auto narrow) {
      using Y = decltype(wide);
      using X = decltype(narrow);
      cuda::add_dropout<Y, X>(residual.defined() ? residual.data<Y>() : nullptr, x.data<X>(),
                              dropout, y.data<Y>(), x.size(), cuda::stream());
    });
    return y;
  }

  Array dropout_grad(const Array& dy, const Dropout& dropout, DType dtype) override {
    if (!dropout.enabled()) return backend(dy)->elementwise.cast(dy, dtype);
    Array dx(dy.shape(), dtype, dy.device());
    visit_stream(dy.dtype(), dx.dtype(), "dropout_grad", [&](auto wide, auto narrow) {
      using Y = decltype(wide);
      using X = decltype(narrow);
      cuda::add_dropout<X, Y>(nullptr, dy.data<Y>(), dropout, dx.data<X>(), dy.size(),
                              cuda::stream());
    });
    return dx;
  }
};

}  // namespace

RandomOps& cuda_random() {
  static auto& operations = *new CudaRandomOps;
  return operations;
}

}  // namespace folio
