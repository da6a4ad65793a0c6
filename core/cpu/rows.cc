#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/rows.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/scratch.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

// f(r) for each row r of [rows, n], in parallel.
template <class F>
void for_rows(int64_t rows, int64_t n, F&& f) {
  parallel_blocks(rows, std::max<int64_t>(1, (1 << 14) / n),
                  [&](int64_t begin, int64_t end) HWY_ATTR {
                    for (int64_t r = begin; r < end; ++r) f(r);
                  });
}

template <class T, class A = Compute<T>>
A largest(const T* x, int64_t n) {
  const Tag<T> d;
  const auto lanes = int64_t(hn::Lanes(d));
  A top = A(x[0]);
  int64_t i = 0;
  if (n >= lanes) {
    auto tops = load(d, x, Whole()).v;
    for (; i + lanes <= n; i += lanes) tops = hn::Max(tops, load(d, x + i, Whole()).v);
    top = hn::GetLane(hn::MaxOfLanes(d, tops));
  }
  for (; i < n; ++i) top = std::max(top, A(x[i]));
  return top;
}

// e = exp(x - shift), whose sum it returns. e may be null.
template <class T, class A = Compute<T>>
A exp_sum(const T* x, int64_t n, A shift, A* e) {
  const Tag<T> d;
  const Simd<Tag<T>> top(static_cast<double>(shift));
  Simd<Tag<T>> total(0.0);
  for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
    auto value = stored_lanes(exp(load(d, x + i, part) - top), part);
    if (e) store(value, e + i, part);
    total = total + value;
  });
  return sum(total);
}

template <class T, class A = Compute<T>>
void softmax_row(const T* x, int64_t n, A* e, T* y) {
  const Tag<T> d;
  const A total = exp_sum(x, n, largest(x, n), e);
  const Simd<Tag<T>> factor(1.0 / static_cast<double>(total));
  for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
    store(load(d, e + i, part) * factor, y + i, part);
  });
}

template <class T, class A = Compute<T>>
void log_softmax_row(const T* x, int64_t n, T* y) {
  const Tag<T> d;
  const A top = largest(x, n);
  const A log_sum = std::log(exp_sum<T, A>(x, n, top, nullptr));
  const Simd<Tag<T>> shift(static_cast<double>(top)), rest(static_cast<double>(log_sum));
  for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
    store(load(d, x + i, part) - shift - rest, y + i, part);
  });
}

void softmax(const Array& x, bool log, Array& y) {
  visit_dtype(x.dtype(), "softmax", [&](auto t) {
    using T = decltype(t);
    using A = Compute<T>;
    const int64_t n = x.dim(-1);
    const T* in = x.data<T>();
    T* out = y.data<T>();
    for_rows(x.rows(), n, [&](int64_t r) HWY_ATTR {
      if (log) return log_softmax_row(in + r * n, n, out + r * n);
      if constexpr (std::is_same_v<T, A>) {
        softmax_row(in + r * n, n, out + r * n, out + r * n);
      } else {
        Scratch scratch(Scratch::bytes_for<A>(n));
        softmax_row(in + r * n, n, scratch.take<A>(n), out + r * n);
      }
    });
  });
}

template <class T, class A = Compute<T>>
void softmax_grad_row(const T* y, const T* dy, int64_t n, T* dx) {
  const Tag<T> d;
  Simd<Tag<T>> total(0.0);
  for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
    total = total + load(d, dy + i, part) * load(d, y + i, part);
  });
  const Simd<Tag<T>> mean(static_cast<double>(sum(total)));
  for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
    store(load(d, y + i, part) * (load(d, dy + i, part) - mean), dx + i, part);
  });
}

template <class T, class A = Compute<T>>
void log_softmax_grad_row(const T* y, const T* dy, int64_t n, T* dx) {
  const Tag<T> d;
  Simd<Tag<T>> total(0.0);
  for_vectors(d, 0, n,
              [&](int64_t i, auto part) HWY_ATTR { total = total + load(d, dy + i, part); });
  const Simd<Tag<T>> factor(static_cast<double>(sum(total)));
  for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
    store(load(d, dy + i, part) - exp(load(d, y + i, part)) * factor, dx + i, part);
  });
}

void softmax_grad(const Array& y, const Array& dy, bool log, Array& dx) {
  visit_dtype(y.dtype(), "softmax_grad", [&](auto t) {
    using T = decltype(t);
    const int64_t n = y.dim(-1);
    const T *in = y.data<T>(), *grad = dy.data<T>();
    T* out = dx.data<T>();
    for_rows(y.rows(), n, [&](int64_t r) HWY_ATTR {
      const int64_t at = r * n;
      if (log) return log_softmax_grad_row(in + at, grad + at, n, out + at);
      softmax_grad_row(in + at, grad + at, n, out + at);
    });
  });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(softmax);
HWY_EXPORT(softmax_grad);

namespace {

class CpuRowOps final : public RowOps {
 public:
  Array softmax(const Array& x, bool log) override {
    Array y(x.shape(), x.dtype(), x.device());
    if (y.size() > 0) HWY_DYNAMIC_DISPATCH(softmax)(x, log, y);
    return y;
  }

  Array softmax_grad(const Array& y, const Array& dy, bool log) override {
    Array dx(y.shape(), y.dtype(), y.device());
    if (dx.size() > 0) HWY_DYNAMIC_DISPATCH(softmax_grad)(y, dy, log, dx);
    return dx;
  }

  Array causal_mask(const Array& x, double hidden) override {
    Array y(x.shape(), x.dtype(), x.device());
    if (y.size() == 0) return y;
    const int64_t T = x.dim(-2), S = x.dim(-1);
    visit_dtype(x.dtype(), "causal_mask", [&]<class N>(N) {
      const N* in = x.data<N>();
      N* out = y.data<N>();
      parallel_blocks(x.rows(), std::max<int64_t>(1, (1 << 14) / S),
                      [&](int64_t begin, int64_t end) {
                        for (int64_t r = begin; r < end; ++r) {
                          const int64_t seen = S - T + r % T + 1;
                          std::copy_n(in + r * S, seen, out + r * S);
                          std::fill_n(out + r * S + seen, S - seen, N(float(hidden)));
                        }
                      });
    });
    return y;
  }
};

}  // namespace

RowOps& cpu_rows() {
  static auto& operations = *new CpuRowOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif
