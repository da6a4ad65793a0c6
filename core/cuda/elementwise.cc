#include "core/cuda/kernels/elementwise.h"

#include <algorithm>
#include <vector>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/kernels/swiglu.h"
#include "core/cuda/status.h"
#include "core/cuda/stream.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::stream;

class CudaElementwiseOps final : public ElementwiseOps {
 public:
  void fill(Array& x, double value) override {
    x.begin_write("fill");
    if (x.dtype() == DType::i32) {
      const std::vector<int32_t> values(size_t(x.size()), int32_t(value));
      return backend(x)->memory.write(values.data(), x);
    }
    visit_dtype(x.dtype(), "fill",
                [&](auto t) { cuda::fill(x.data<decltype(t)>(), value, x.size(), stream()); });
  }

  Array cast(const Array& x, DType dtype) override {
    Array y(x.shape(), dtype, x.device());
    if (x.dtype() == dtype) {
      if (x.size() > 0)
        cuda::check_status(cudaMemcpyAsync(y.address(), x.address(), x.bytes(),
                                           cudaMemcpyDeviceToDevice, stream()),
                           "a copy of {} bytes", x.bytes());
      return y;
    }
    visit_dtype(x.dtype(), "cast", [&](auto from) {
      visit_dtype(dtype, "cast", [&](auto to) {
        using From = decltype(from);
        using To = decltype(to);
        cuda::cast<From, To>(x.data<From>(), y.data<To>(), x.size(), stream());
      });
    });
    return y;
  }

  Array unary(Unary op, const Array& x) override {
    Array y(x.shape(), x.dtype(), x.device());
    visit_dtype(x.dtype(), "unary", [&](auto t) {
      using T = decltype(t);
      cuda::unary<T>(op, x.data<T>(), y.data<T>(), x.size(), stream());
    });
    return y;
  }

  Array unary_grad(Unary op, const Array& x, const Array& dy) override {
    Array dx(x.shape(), x.dtype(), x.device());
    visit_dtype(x.dtype(), "unary_grad", [&](auto t) {
      using T = decltype(t);
      cuda::unary_grad<T>(op, x.data<T>(), dy.data<T>(), dx.data<T>(), x.size(), stream());
    });
    return dx;
  }

  Array swiglu(const Array& x) override {
    Shape shape = x.shape();
    shape[-1] /= 2;
    Array y(shape, x.dtype(), x.device());
    visit_dtype(x.dtype(), "swiglu", [&](auto t) {
      using T = decltype(t);
      cuda::swiglu<T>(x.data<T>(), y.data<T>(), x.rows(), y.dim(-1), stream());
    });
    return y;
  }

  Array swiglu_grad(const Array& x, const Array& dy, Array* y) override {
    Array dx(x.shape(), x.dtype(), x.device());
    if (y) *y = Array(dy.shape(), dy.dtype(), dy.device());
    visit_dtype(x.dtype(), "swiglu_grad", [&](auto t) {
      using T = decltype(t);
      cuda::swiglu_grad<T>(x.data<T>(), dy.data<T>(), dx.data<T>(), y ? y->data<T>() : nullptr,
                           x.rows(), dy.dim(-1), stream());
    });
    return dx;
  }

  Array add(const Array& a, const Array& b) override {
    Array y(a.shape(), a.dtype(), a.device());
    visit_stream(a.dtype(), b.dtype(), "add", [&](auto wide, auto narrow) {
      using A = decltype(wide);
      using B = decltype(narrow);
      cuda::add<A, B>(a.data<A>(), b.data<B>(), y.data<A>(), a.size(), stream());
    });
    return y;
  }

  void accumulate(Array& into, const Array& x) override {
    into.begin_write("accumulate");
    visit_dtype(into.dtype(), "accumulate", [&](auto a) {
      visit_dtype(x.dtype(), "accumulate", [&](auto b) {
        using A = decltype(a);
        using B = decltype(b);
        cuda::add<A, B>(into.data<A>(), x.data<B>(), into.data<A>(), x.size(), stream());
      });
    });
  }

  void scale(Array& x, const Array& factor) override {
    x.begin_write("scale");
    visit_dtype(x.dtype(), "scale", [&](auto t) {
      visit_dtype(factor.dtype(), "scale", [&](auto s) {
        using T = decltype(t);
        using S = decltype(s);
        cuda::scale<T, S>(x.data<T>(), factor.data<S>(), x.size(), stream());
      });
    });
  }

  void scale(Array& x, double factor) override {
    x.begin_write("scale");
    if (factor == 1) return;
    visit_dtype(x.dtype(), "scale",
                [&](auto t) { cuda::scale(x.data<decltype(t)>(), factor, x.size(), stream()); });
  }
};

}  // namespace

ElementwiseOps& cuda_elementwise() {
  static auto& operations = *new CudaElementwiseOps;
  return operations;
}

}  // namespace folio
