#include <algorithm>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/each.h"
#include "core/devices/axis_view.h"
#include "core/devices/costs.h"
#include "core/devices/exchange.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::each;

// Calls f(T{}) with an unsigned integer as wide as an element: what only moves is not looked at.
template <class F>
void visit_width(DType dtype, F&& f) {
  switch (size_of(dtype)) {
    case 8:
      return f(uint64_t{});
    case 4:
      return f(uint32_t{});
    case 2:
      return f(uint16_t{});
    default:
      return f(uint8_t{});
  }
}

template <class From, class To>
void exchange(const Exchange& s, const From* x, To* y) {
  each("transpose", s.A * s.M * s.B * s.N * s.C, [=] __device__(int64_t i) {
    const int64_t c = i % s.C, m = i / s.C % s.M, b = i / (s.C * s.M) % s.B;
    const int64_t n = i / (s.C * s.M * s.B) % s.N, a = i / (s.C * s.M * s.B * s.N);
    y[i] = To(x[(((a * s.M + m) * s.B + b) * s.N + n) * s.C + c]);
  });
}

template <class T>
void copy_runs(const T* from, int64_t from_row, T* to, int64_t to_row, int64_t rows, int64_t run) {
  each("copy_block", rows * run, [=] __device__(int64_t i) {
    to[i / run * to_row + i % run] = from[i / run * from_row + i % run];
  });
}

template <class T>
void take(const T* table, const int32_t* ids, T* taken, int64_t n, int64_t C) {
  each("take_rows", n * C, [=] __device__(int64_t i) { taken[i] = table[ids[i / C] * C + i % C]; });
}

template <class T>
void pick_of(const T* x, const int32_t* ids, T* y, int64_t n, int64_t V) {
  each("pick", n, [=] __device__(int64_t r) { y[r] = ids[r] < 0 ? T(0.0f) : x[r * V + ids[r]]; });
}

template <class T>
void pick_grad_of(const T* dy, const int32_t* ids, T* dx, int64_t n, int64_t V) {
  each("pick_grad", n * V,
       [=] __device__(int64_t i) { dx[i] = ids[i / V] == i % V ? dy[i / V] : T(0.0f); });
}

class CudaLayoutOps final : public LayoutOps {
 public:
  Array transpose(const Array& x, int i, int j, DType dtype) override {
    Shape shape = x.shape();
    std::swap(shape[i], shape[j]);
    Array y(shape, dtype, x.device());
    if (y.size() == 0) return y;
    const Exchange sizes(x.shape(), i, j);
    visit_dtype(x.dtype(), "transpose", [&](auto from) {
      visit_dtype(dtype, "transpose", [&](auto to) {
        exchange(sizes, static_cast<const decltype(from)*>(x.address()), y.data<decltype(to)>());
      });
    });
    return y;
  }

  void copy_block(const Array& from, int64_t from_begin, Array& to, int64_t to_begin, int64_t n,
                  int axis) override {
    to.begin_write("copy_block");
    count_bytes(2.0 * double(from.bytes()) * double(n) /
                double(std::max<int64_t>(1, from.dim(axis))));
    const AxisView source(from.shape(), axis), target(to.shape(), axis);
    const int64_t inner = source.inner;
    visit_width(from.dtype(), [&](auto t) {
      using T = decltype(t);
      copy_runs(static_cast<const T*>(from.address()) + from_begin * inner, source.n * inner,
                static_cast<T*>(to.address()) + to_begin * inner, target.n * inner, source.outer,
                n * inner);
    });
  }

  Array take_rows(const Array& table, const Array& ids) override {
    Array taken({ids.size(), table.dim(1)}, table.dtype(), table.device());
    count_bytes(moved_bytes(taken));
    visit_width(table.dtype(), [&](auto t) {
      using T = decltype(t);
      take(static_cast<const T*>(table.address()), ids.data<int32_t>(),
           static_cast<T*>(taken.address()), ids.size(), table.dim(1));
    });
    return taken;
  }

  Array pick(const Array& x, const Array& ids) override {
    Array y(ids.shape(), x.dtype(), x.device());
    count_bytes(moved_bytes(y));
    visit_dtype(x.dtype(), "pick", [&](auto t) {
      using T = decltype(t);
      pick_of<T>(x.data<T>(), ids.data<int32_t>(), y.data<T>(), ids.size(), x.dim(-1));
    });
    return y;
  }

  Array pick_grad(const Array& dy, const Array& ids, const Shape& shape) override {
    Array dx(shape, dy.dtype(), dy.device());
    visit_dtype(dy.dtype(), "pick_grad", [&](auto t) {
      using T = decltype(t);
      pick_grad_of<T>(dy.data<T>(), ids.data<int32_t>(), dx.data<T>(), ids.size(), shape[-1]);
    });
    return dx;
  }
};

}  // namespace

LayoutOps& cuda_layout() {
  static auto& operations = *new CudaLayoutOps;
  return operations;
}

}  // namespace folio
