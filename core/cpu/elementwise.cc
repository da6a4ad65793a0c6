#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/elementwise.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// f(i, n) for all vectors of [0, size), in parallel.
template <class T, class F>
void for_all(int64_t size, F&& f) {
  parallel_blocks(size, 1 << 14, [&](int64_t begin, int64_t end) HWY_ATTR {
    for_vectors(Tag<T>(), begin, end, f);
  });
}

// to[i] = f(to[i], from[i]), in the lanes that A and B share or, across f64 and the others, in f64.
template <class A, class B, class F>
void combine(int64_t size, A* to, const B* from, F&& f) {
  if constexpr (std::is_same_v<Compute<A>, Compute<B>>) {
    Tag<A> d;
    for_all<A>(size, [&](int64_t i, auto n) HWY_ATTR {
      store(f(load(d, to + i, n), load(d, from + i, n)), to + i, n);
    });
  } else {
    parallel_blocks(size, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) to[i] = A(f(double(to[i]), double(from[i])));
    });
  }
}

template <class F>
void combine_arrays(const char* what, Array& to, const Array& from, F&& f) {
  visit_dtype(to.dtype(), what, [&](auto a) {
    visit_dtype(from.dtype(), what, [&](auto b) {
      combine(to.size(), to.data<decltype(a)>(), from.data<decltype(b)>(), f);
    });
  });
}

void cast(Array& to, const Array& from) {
  combine_arrays("cast", to, from, [](auto, auto x) HWY_ATTR { return x; });
}

void accumulate(Array& into, const Array& x) {
  combine_arrays("accumulate", into, x, [](auto sum, auto term) HWY_ATTR { return sum + term; });
}

template <class T>
void unary_of(Unary op, const Array& x, Array& y) {
  const T* in = x.data<T>();
  T* out = y.data<T>();
  Tag<T> d;
  visit_unary(op, [&](auto function) {
    for_all<T>(x.size(), [&](int64_t i, auto n)
                             HWY_ATTR { store(function.value(load(d, in + i, n)), out + i, n); });
  });
}

void unary(Unary op, const Array& x, Array& y) {
  visit_dtype(x.dtype(), "unary", [&](auto t) { unary_of<decltype(t)>(op, x, y); });
}

// f(r, i, n) for every vector of F columns, i the first of them, of every row r of x [..., 2 F].
template <class T, class F>
void for_gated(const Array& x, F&& f) {
  const int64_t width = x.dim(-1) / 2;
  const int64_t block = std::max<int64_t>(1, (1 << 13) / std::max<int64_t>(1, width));
  parallel_blocks(x.rows(), block, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t r = begin; r < end; ++r)
      for_vectors(Tag<T>(), 0, width, [&](int64_t i, auto n) HWY_ATTR { f(r, i, n); });
  });
}

void swiglu(const Array& x, Array& y) {
  visit_dtype(x.dtype(), "swiglu", [&](auto t) {
    using T = decltype(t);
    const int64_t F = y.dim(-1);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    Tag<T> d;
    for_gated<T>(x, [&](int64_t r, int64_t i, auto n) HWY_ATTR {
      const T* gate = in + r * 2 * F + i;
      store(Silu::value(load(d, gate, n)) * load(d, gate + F, n), out + r * F + i, n);
    });
  });
}

void swiglu_grad(const Array& x, const Array& dy, Array& dx, Array* y) {
  visit_dtype(x.dtype(), "swiglu_grad", [&](auto t) {
    using T = decltype(t);
    const int64_t F = dy.dim(-1);
    const T *in = x.data<T>(), *grad = dy.data<T>();
    T *out = dx.data<T>(), *again = y ? y->data<T>() : nullptr;
    Tag<T> d;
    for_gated<T>(x, [&](int64_t r, int64_t i, auto n) HWY_ATTR {
      const T* gate_at = in + r * 2 * F + i;
      const auto gate = load(d, gate_at, n), up = load(d, gate_at + F, n);
      const auto g = load(d, grad + r * F + i, n), act = Silu::value(gate);
      store(g * up * Silu::slope(gate), out + r * 2 * F + i, n);
      store(g * act, out + r * 2 * F + F + i, n);
      if (again) store(act * up, again + r * F + i, n);
    });
  });
}

template <class T>
void unary_grad_of(Unary op, const Array& x, const Array& dy, Array& dx) {
  const T *in = x.data<T>(), *grad = dy.data<T>();
  T* out = dx.data<T>();
  Tag<T> d;
  visit_unary(op, [&](auto function) {
    for_all<T>(x.size(), [&](int64_t i, auto n) HWY_ATTR {
      auto slope = function.slope(load(d, in + i, n));
      store(load(d, grad + i, n) * slope, out + i, n);
    });
  });
}

void unary_grad(Unary op, const Array& x, const Array& dy, Array& dx) {
  visit_dtype(x.dtype(), "unary_grad", [&](auto t) { unary_grad_of<decltype(t)>(op, x, dy, dx); });
}

void add(const Array& a, const Array& b, Array& y) {
  visit_stream(a.dtype(), b.dtype(), "add", [&](auto t, auto narrow) {
    using T = decltype(t);
    const T* left = a.data<T>();
    const auto* right = b.data<decltype(narrow)>();
    T* out = y.data<T>();
    Tag<T> d;
    for_all<T>(a.size(), [&](int64_t i, auto n) HWY_ATTR {
      store(load(d, left + i, n) + load(d, right + i, n), out + i, n);
    });
  });
}

void scale(Array& x, double factor) {
  visit_dtype(x.dtype(), "scale", [&](auto t) {
    using T = decltype(t);
    T* data = x.data<T>();
    Tag<T> d;
    for_all<T>(x.size(), [&](int64_t i, auto n) HWY_ATTR {
      store(load(d, data + i, n) * Simd<Tag<T>>(factor), data + i, n);
    });
  });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(cast);
HWY_EXPORT(accumulate);
HWY_EXPORT(unary);
HWY_EXPORT(unary_grad);
HWY_EXPORT(swiglu);
HWY_EXPORT(swiglu_grad);
HWY_EXPORT(add);
HWY_EXPORT(scale);

namespace {

class CpuElementwiseOps final : public ElementwiseOps {
 public:
  void fill(Array& x, double value) override {
    x.begin_write("fill");
    auto fill_as = [&](auto as_t) {
      auto* data = x.data<decltype(as_t)>();
      parallel_blocks(x.size(), 1 << 16, [&](int64_t begin, int64_t end) {
        std::fill(data + begin, data + end, as_t);
      });
    };
    if (x.dtype() == DType::i32) return fill_as(int32_t(value));
    visit_dtype(x.dtype(), "fill", [&](auto t) { fill_as(decltype(t)(value)); });
  }

  Array cast(const Array& x, DType dtype) override {
    Array y(x.shape(), dtype, x.device());
    if (x.dtype() == dtype) {
      const char* from = static_cast<const char*>(x.address());
      char* to = static_cast<char*>(y.address());
      parallel_blocks(int64_t(x.bytes()), 1 << 18, [&](int64_t begin, int64_t end) {
        std::memcpy(to + begin, from + begin, size_t(end - begin));
      });
    } else {
      HWY_DYNAMIC_DISPATCH(cast)(y, x);
    }
    return y;
  }

  Array unary(Unary op, const Array& x) override {
    Array y(x.shape(), x.dtype(), x.device());
    HWY_DYNAMIC_DISPATCH(unary)(op, x, y);
    return y;
  }

  Array unary_grad(Unary op, const Array& x, const Array& dy) override {
    Array dx(x.shape(), x.dtype(), x.device());
    HWY_DYNAMIC_DISPATCH(unary_grad)(op, x, dy, dx);
    return dx;
  }

  Array swiglu(const Array& x) override {
    Shape shape = x.shape();
    shape[-1] /= 2;
    Array y(shape, x.dtype(), x.device());
    HWY_DYNAMIC_DISPATCH(swiglu)(x, y);
    return y;
  }

  Array swiglu_grad(const Array& x, const Array& dy, Array* y) override {
    Array dx(x.shape(), x.dtype(), x.device());
    if (y) *y = Array(dy.shape(), dy.dtype(), dy.device());
    HWY_DYNAMIC_DISPATCH(swiglu_grad)(x, dy, dx, y);
    return dx;
  }

  Array add(const Array& a, const Array& b) override {
    Array y(a.shape(), a.dtype(), a.device());
    HWY_DYNAMIC_DISPATCH(add)(a, b, y);
    return y;
  }

  void accumulate(Array& into, const Array& x) override {
    into.begin_write("accumulate");
    HWY_DYNAMIC_DISPATCH(accumulate)(into, x);
  }

  void scale(Array& x, const Array& factor) override {
    visit_dtype(factor.dtype(), "scale",
                [&](auto t) { scale(x, double(*factor.data<decltype(t)>())); });
  }

  void scale(Array& x, double factor) override {
    x.begin_write("scale");
    if (factor != 1) HWY_DYNAMIC_DISPATCH(scale)(x, factor);
  }
};

}  // namespace

ElementwiseOps& cpu_elementwise() {
  static auto& operations = *new CpuElementwiseOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif
