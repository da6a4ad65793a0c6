#include <optional>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/each.h"
#include "core/cuda/reductions.h"
#include "core/devices/broadcast_plan.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::each;

template <class T>
using SumOf = std::conditional_t<std::is_same_v<T, double>, double, float>;

// Where element i of y has its operands.
struct Places {
  BroadcastPlan::Dim dims[Shape::max_rank];
  int rank;

  explicit Places(const BroadcastPlan& plan) : rank(plan.rank) {
    for (int d = 0; d < rank; ++d) dims[d] = plan.dims[size_t(d)];
  }
  __device__ void find(int64_t i, int64_t& a, int64_t& b) const {
    a = b = 0;
    for (int d = rank - 1; d >= 0; --d) {
      const int64_t at = i % dims[d].size;
      i /= dims[d].size;
      a += at * dims[d].a;
      b += at * dims[d].b;
    }
  }
};

template <class Op, class T>
void binary_of(const Places& places, const T* a, const T* b, int64_t n, T* y) {
  each(Op::name, n, [=] __device__(int64_t i) {
    int64_t left, right;
    places.find(i, left, right);
    y[i] = T(Op::value(SumOf<T>(a[left]), SumOf<T>(b[right])));
  });
}

// dx[i] = dy[i] times the derivative, in full: nothing is summed yet, and dx may be f32 over bf16.
template <class Op, class T, class X>
void slopes_of(Side side, const Places& places, const T* a, const T* b, const T* dy, int64_t n,
               X* dx) {
  each(Op::name, n, [=] __device__(int64_t i) {
    int64_t left, right;
    places.find(i, left, right);
    const SumOf<T> x(a[left]), y(b[right]);
    const SumOf<T> slope = side == Side::a ? Op::slope_a(x, y) : Op::slope_b(x, y);
    dx[i] = X(SumOf<T>(dy[i]) * slope);
  });
}

// The derivative of an op whose derivatives are numbers; nothing for one that keeps a and b.
std::optional<double> constant_slope(Binary op, Side side) {
  return visit_binary(op, [&](auto f) -> std::optional<double> {
    if constexpr (decltype(f)::keeps) return std::nullopt;
    return side == Side::a ? f.slope_a(0.0, 0.0) : f.slope_b(0.0, 0.0);
  });
}

// dx, in full, summed over the dimensions along which the operand on `side` was repeated, one after
// the other from the innermost.
Array sum_repeats(Array dx, const BroadcastPlan& plan, Side side) {
  int64_t outer = plan.rows() * plan.inner().size, inner = 1;
  for (int i = plan.rank - 1; i >= 0; --i) {
    const auto& dim = plan.dims[size_t(i)];
    outer /= dim.size;
    if ((side == Side::a ? dim.a : dim.b) == 0)
      dx = cuda::sum_axis(dx, outer, dim.size, inner);
    else
      inner *= dim.size;
  }
  return dx;
}

class CudaBroadcastOps final : public BroadcastOps {
 public:
  Array binary(Binary op, const Array& a, const Array& b) override {
    Array y(broadcast(a.shape(), b.shape()).value(), a.dtype(), a.device());
    if (y.size() == 0) return y;
    const Places places(BroadcastPlan(a.shape(), b.shape(), y.shape()));
    visit_dtype(y.dtype(), "binary", [&](auto t) {
      using T = decltype(t);
      visit_binary(op, [&](auto f) {
        binary_of<decltype(f), T>(places, a.data<T>(), b.data<T>(), y.size(), y.data<T>());
      });
    });
    return y;
  }

  Array binary_grad(Binary op, Side side, const Array& a, const Array& b,
                    const Array& dy) override {
    const Shape& shape = side == Side::a ? a.shape() : b.shape();
    if (dy.size() == 0) return zeros(shape, dy.dtype(), dy.device());
    const BroadcastPlan plan(a.shape(), b.shape(), dy.shape());
    const bool repeated = shape.size() != dy.size();
    const std::optional<double> constant = constant_slope(op, side);
    Array dx = dy;
    if (!constant) {
      // What is still to be summed is not rounded to bf16.
      const bool wide = repeated && dy.dtype() == DType::bf16;
      dx = Array(dy.shape(), wide ? DType::f32 : dy.dtype(), dy.device());
      slopes(op, side, plan, a, b, dy, dx);
    }
    if (repeated) dx = sum_repeats(dx, plan, side);
    if (dx.dtype() != dy.dtype() || dx.shares_storage_with(dy))
      dx = backend(dx)->elementwise.cast(dx, dy.dtype());
    if (constant) backend(dx)->elementwise.scale(dx, *constant);
    return dx.reshape(shape);
  }

 private:
  static void slopes(Binary op, Side side, const BroadcastPlan& plan, const Array& a,
                     const Array& b, const Array& dy, Array& dx) {
    visit_stream(dx.dtype(), dy.dtype(), "binary_grad", [&](auto wide, auto narrow) {
      using X = decltype(wide);
      using T = decltype(narrow);
      visit_binary(op, [&](auto f) {
        slopes_of<decltype(f), T, X>(side, Places(plan), a.data<T>(), b.data<T>(), dy.data<T>(),
                                     dy.size(), dx.data<X>());
      });
    });
  }
};

}  // namespace

BroadcastOps& cuda_broadcast() {
  static auto& operations = *new CudaBroadcastOps;
  return operations;
}

}  // namespace folio
