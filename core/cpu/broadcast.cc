#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/broadcast.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/reductions.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/broadcast_grad.h"
#include "core/devices/broadcast_plan.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// A row of an operand: its elements, or one for all of them.
template <class T>
struct OperandRow {
  const T* data;
  bool repeats;
  template <class D, class N>
  HWY_INLINE Simd<D> at(D d, int64_t i, N n) const {
    return repeats ? Simd<D>(double(*data)) : load(d, data + i, n);
  }
};

// f(operand a, operand b, at, begin, end) for the elements [begin, end) of the row of y that begins
// at element `at`, in parallel over all of them.
template <class T, class F>
void for_rows(const BroadcastPlan& plan, const Array& a, const Array& b, F&& f) {
  const T *left = a.data<T>(), *right = b.data<T>();
  const int64_t n = plan.inner().size, rows = plan.rows();
  const int64_t part = 1 << 14, parts = (n + part - 1) / part;  // of a long row
  const int64_t group = std::max<int64_t>(1, part / std::max<int64_t>(n, 1));
  parallel_blocks(rows * parts, group, [&](int64_t first, int64_t last) HWY_ATTR {
    for (int64_t task = first; task < last; ++task) {
      const int64_t r = task / parts, begin = task % parts * part;
      const auto at = plan.row(r);
      f(OperandRow<T>{left + at.a, plan.inner().a == 0},
        OperandRow<T>{right + at.b, plan.inner().b == 0}, r * n, begin, std::min(n, begin + part));
    }
  });
}

template <class T>
void binary_of(Binary op, const BroadcastPlan& plan, const Array& a, const Array& b, Array& y) {
  T* out = y.data<T>();
  Tag<T> d;
  visit_binary(op, [&](auto function) {
    for_rows<T>(plan, a, b,
                [&](auto left, auto right, int64_t at, int64_t begin, int64_t end) HWY_ATTR {
                  for_vectors(d, begin, end, [&](int64_t i, auto n) HWY_ATTR {
                    store(function.value(left.at(d, i, n), right.at(d, i, n)), out + at + i, n);
                  });
                });
  });
}

void binary(Binary op, const BroadcastPlan& plan, const Array& a, const Array& b, Array& y) {
  visit_dtype(y.dtype(), "binary", [&](auto t) { binary_of<decltype(t)>(op, plan, a, b, y); });
}

// dx[i] = dy[i] times the derivative, in full: nothing is summed yet, and dx may be f32 over bf16.
template <class T, class X>
void slopes_of(Binary op, Side side, const BroadcastPlan& plan, const Array& a, const Array& b,
               const Array& dy, Array& dx) {
  const T* grad = dy.data<T>();
  X* out = dx.data<X>();
  Tag<T> d;
  auto multiply = [&](auto slope) {
    for_rows<T>(plan, a, b,
                [&](auto left, auto right, int64_t at, int64_t begin, int64_t end) HWY_ATTR {
                  for_vectors(d, begin, end, [&](int64_t i, auto n) HWY_ATTR {
                    store(load(d, grad + at + i, n) * slope(left.at(d, i, n), right.at(d, i, n)),
                          out + at + i, n);
                  });
                });
  };
  visit_binary(op, [&](auto f) {
    if constexpr (f.keeps) {
      if (side == Side::a)
        return multiply([f](auto x, auto y) HWY_ATTR { return f.slope_a(x, y); });
      return multiply([f](auto x, auto y) HWY_ATTR { return f.slope_b(x, y); });
    }
  });
}

void slopes(Binary op, Side side, const BroadcastPlan& plan, const Array& a, const Array& b,
            const Array& dy, Array& dx) {
  visit_stream(dx.dtype(), dy.dtype(), "binary_grad", [&](auto x, auto t) {
    slopes_of<decltype(t), decltype(x)>(op, side, plan, a, b, dy, dx);
  });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(binary);
HWY_EXPORT(slopes);

namespace {

class CpuBroadcastOps final : public BroadcastOps {
 public:
  Array binary(Binary op, const Array& a, const Array& b) override {
    Array y(broadcast(a.shape(), b.shape()).value(), a.dtype(), a.device());
    if (y.size() == 0) return y;
    HWY_DYNAMIC_DISPATCH(binary)(op, BroadcastPlan(a.shape(), b.shape(), y.shape()), a, b, y);
    return y;
  }

  Array binary_grad(Binary op, Side side, const Array& a, const Array& b,
                    const Array& dy) override {
    return broadcast_grad(
        op, side, a, b, dy,
        [&](const BroadcastPlan& plan, Array& dx) {
          HWY_DYNAMIC_DISPATCH(slopes)(op, side, plan, a, b, dy, dx);
        },
        sum_axis);
  }
};

}  // namespace

BroadcastOps& cpu_broadcast() {
  static auto& operations = *new CpuBroadcastOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif
