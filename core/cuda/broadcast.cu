#include "core/cuda/cuda_backend.h"
#include "core/cuda/each.h"
#include "core/cuda/reductions.h"
#include "core/devices/broadcast_grad.h"
#include "core/devices/broadcast_plan.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::each;

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
    return broadcast_grad(
        op, side, a, b, dy,
        [&](const BroadcastPlan& plan, Array& dx) { slopes(op, side, plan, a, b, dy, dx); },
        cuda::sum_axis);
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
