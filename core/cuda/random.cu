#include "core/cuda/cuda_backend.h"
#include "core/cuda/each.h"
#include "core/visit_dtype.h"

namespace folio {
namespace {

using cuda::each;

template <class T>
using SumOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

// y = residual + dropout(x); `residual` may be null. A thread does the eight elements whose numbers
// are in one block of the stream.
template <class X, class Y>
void add_dropout_of(const Y* residual, const X* x, const Dropout& dropout, int64_t n, Y* y) {
  using A = SumOf<Y>;
  each("add_dropout", (n + 7) / 8, [=, scale = A(dropout.scale())] __device__(int64_t block) {
    const auto words = dropout.stream.block(uint64_t(block));
    for (int j = 0; j < 8; ++j) {
      const int64_t i = block * 8 + j;
      if (i >= n) return;
      const uint32_t word = words[size_t(j / 2)];
      const bool kept = (j % 2 ? word >> 16 : word & 0xffff) >= dropout.threshold;
      const A value = kept ? A(x[i]) * scale : A(0);
      y[i] = Y(residual ? A(residual[i]) + value : value);
    }
  });
}

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
      add_dropout_of<X, Y>(residual.defined() ? residual.data<Y>() : nullptr, x.data<X>(), dropout,
                           x.size(), y.data<Y>());
    });
    return y;
  }

  Array dropout_grad(const Array& dy, const Dropout& dropout, DType dtype) override {
    if (!dropout.enabled()) return backend(dy)->elementwise.cast(dy, dtype);
    Array dx(dy.shape(), dtype, dy.device());
    visit_stream(dy.dtype(), dx.dtype(), "dropout_grad", [&](auto wide, auto narrow) {
      using X = decltype(narrow);
      add_dropout_of<decltype(wide), X>(nullptr, dy.data<decltype(wide)>(), dropout, dy.size(),
                                        dx.data<X>());
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
