#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/random.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <numbers>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/dropout-inl.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

template <class X, class Y>
void add_dropout_of(const Y* residual, const X* x, const Dropout& dropout, int64_t size, Y* y) {
  parallel_blocks(size, 1 << 14, [&](int64_t begin, int64_t end) HWY_ATTR {
    add_dropout_range(residual, x, dropout, begin, end, y);
  });
}

void add_dropout(const Array& residual, const Array& x, const Dropout& dropout, Array& y) {
  visit_stream(y.dtype(), x.dtype(), "add_dropout", [&](auto wide, auto narrow) {
    using Y = decltype(wide);
    const Y* base = residual.defined() ? residual.data<Y>() : nullptr;
    add_dropout_of(base, x.data<decltype(narrow)>(), dropout, x.size(), y.data<Y>());
  });
}

void dropout_grad(const Array& dy, const Dropout& dropout, Array& dx) {
  visit_stream(dy.dtype(), dx.dtype(), "dropout_grad", [&](auto wide, auto narrow) {
    using X = decltype(narrow);
    add_dropout_of<decltype(wide), X>(nullptr, dy.data<decltype(wide)>(), dropout, dy.size(),
                                      dx.data<X>());
  });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(add_dropout);
HWY_EXPORT(dropout_grad);

namespace {

// Four normal numbers from one Philox block (Box & Muller, 1958).
std::array<double, 4> normals(const RandomStream& stream, uint64_t block) {
  std::array<double, 4> z;
  auto words = stream.block(block);
  for (size_t i = 0; i < 4; i += 2) {
    double radius = std::sqrt(-2 * std::log((words[i] + 1.0) * 0x1p-32));
    double angle = 2 * std::numbers::pi * (words[i + 1] * 0x1p-32);
    z[i] = radius * std::cos(angle);
    z[i + 1] = radius * std::sin(angle);
  }
  return z;
}

class CpuRandomOps final : public RandomOps {
 public:
  void normal(Array& x, double mean, double std, RandomStream stream) override {
    x.begin_write("normal");
    visit_dtype(x.dtype(), "normal", [&](auto t) {
      using T = decltype(t);
      T* data = x.data<T>();
      parallel_blocks(x.size(), 1 << 12, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; i += 4) {
          auto z = normals(stream, uint64_t(i / 4));
          for (int64_t j = i; j < std::min(i + 4, end); ++j)
            data[j] = T(mean + std * z[size_t(j - i)]);
        }
      });
    });
  }

  Array add_dropout(const Array& residual, const Array& x, const Dropout& dropout) override {
    if (!dropout.enabled())
      return residual.defined() ? backend(x)->elementwise.add(residual, x)
                                : backend(x)->elementwise.cast(x, x.dtype());
    Array y(x.shape(), residual.defined() ? residual.dtype() : x.dtype(), x.device());
    HWY_DYNAMIC_DISPATCH(add_dropout)(residual, x, dropout, y);
    return y;
  }

  Array dropout_grad(const Array& dy, const Dropout& dropout, DType dtype) override {
    if (!dropout.enabled()) return backend(dy)->elementwise.cast(dy, dtype);
    Array dx(dy.shape(), dtype, dy.device());
    HWY_DYNAMIC_DISPATCH(dropout_grad)(dy, dropout, dx);
    return dx;
  }
};

}  // namespace

RandomOps& cpu_random() {
  static auto& operations = *new CpuRandomOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif
