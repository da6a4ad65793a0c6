#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/reduce.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/reduce.h"
#include "core/cpu/simd-inl.h"
#include "core/cpu/visit_dtype.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

struct SumOp {
  static constexpr double start = 0;
  template <class D>
  static HWY_INLINE Simd<D> combine(Simd<D> sum, Simd<D> x) {
    return sum + x;
  }
  template <class A>
  static A combine_one(A sum, A x) {
    return sum + x;
  }
};

struct MaxOp {  // a NaN is the largest
  static constexpr double start = -std::numeric_limits<double>::infinity();
  template <class D>
  static HWY_INLINE Simd<D> combine(Simd<D> top, Simd<D> x) {
    return hn::IfThenElse(hn::Or(hn::Gt(x.v, top.v), hn::IsNaN(x.v)), x.v, top.v);
  }
  template <class A>
  static A combine_one(A top, A x) {
    return x > top || std::isnan(x) ? x : top;
  }
};

// One number of x[0..n). Long runs go in pieces, so that a sum of many does not lose to rounding.
template <class Op, class T, class A = Compute<T>>
A reduce_run(const T* x, int64_t n) {
  const Tag<T> d;
  const auto lanes = int64_t(hn::Lanes(d));
  A total(Op::start);
  for (int64_t begin = 0; begin < n; begin += 4096) {
    const int64_t end = std::min(n, begin + 4096);
    Simd<Tag<T>> piece(Op::start);
    int64_t i = begin;
    for (; i + lanes <= end; i += lanes) piece = Op::combine(piece, load(d, x + i, Whole()));
    HWY_ALIGN A values[hn::MaxLanes(d)];
    hn::Store(piece.v, d, values);
    A one = values[0];
    for (int64_t l = 1; l < lanes; ++l) one = Op::combine_one(one, values[l]);
    for (; i < end; ++i) one = Op::combine_one(one, A(x[i]));
    total = Op::combine_one(total, one);
  }
  return total;
}

// y[i] of x[0..n)[i] for the `width` (at most column_block) columns at x, whose rows are `stride`
// apart; in groups of rows, for the same reason.
constexpr int64_t column_block = 64;
template <class Op, class T, class A = Compute<T>>
void reduce_columns(const T* x, int64_t n, int64_t stride, int64_t width, A* y) {
  const Tag<T> d;
  HWY_ALIGN A group[column_block];
  std::fill_n(y, width, A(Op::start));
  for (int64_t begin = 0; begin < n; begin += 64) {
    std::fill_n(group, width, A(Op::start));
    for (int64_t j = begin; j < std::min(n, begin + 64); ++j) {
      for_vectors(d, 0, width, [&](int64_t i, auto part) HWY_ATTR {
        auto value = Op::combine(load(d, group + i, part), load(d, x + j * stride + i, part));
        store(value, group + i, part);
      });
    }
    for (int64_t i = 0; i < width; ++i) y[i] = Op::combine_one(y[i], group[i]);
  }
}

template <class Op, class T, class A = Compute<T>>
void reduce_of(const T* x, int64_t outer, int64_t n, int64_t inner, A* y) {
  if (inner > 1) {
    const int64_t blocks = (inner + column_block - 1) / column_block;
    const int64_t grain =
        std::max<int64_t>(1, (1 << 14) / (column_block * std::max<int64_t>(n, 1)));
    parallel_blocks(outer * blocks, grain, [&](int64_t first, int64_t last) HWY_ATTR {
      for (int64_t task = first; task < last; ++task) {
        const int64_t o = task / blocks, i = task % blocks * column_block;
        reduce_columns<Op>(x + o * n * inner + i, n, inner, std::min(column_block, inner - i),
                           y + o * inner + i);
      }
    });
    return;
  }
  // A long run is cut, by its length alone, for several threads.
  const int64_t part = 1 << 16, parts = std::max<int64_t>(1, (n + part - 1) / part);
  std::vector<A> of_parts(static_cast<size_t>(outer * parts));
  const int64_t grain = std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(n, 1));
  parallel_blocks(outer * parts, grain, [&](int64_t first, int64_t last) HWY_ATTR {
    for (int64_t task = first; task < last; ++task) {
      const int64_t begin = task % parts * part;
      of_parts[size_t(task)] =
          reduce_run<Op>(x + task / parts * n + begin, std::min(part, n - begin));
    }
  });
  for (int64_t o = 0; o < outer; ++o) {
    y[o] = of_parts[size_t(o * parts)];
    for (int64_t p = 1; p < parts; ++p)
      y[o] = Op::combine_one(y[o], of_parts[size_t(o * parts + p)]);
  }
}

void reduce(Reduction op, const Array& x, int64_t outer, int64_t n, int64_t inner, Array& y) {
  visit_dtype(x.dtype(), "reduce", [&](auto t) {
    using T = decltype(t);
    const T* in = x.data<T>();
    auto* out = y.data<Compute<T>>();
    if (op == Reduction::sum) return reduce_of<SumOp>(in, outer, n, inner, out);
    reduce_of<MaxOp>(in, outer, n, inner, out);
  });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(reduce);

namespace {

// [outer * inner] in f32 (f64 for f64)
Array reduced(Reduction op, const Array& x, const AxisView& view) {
  Array y({view.outer * view.inner}, x.dtype() == DType::f64 ? DType::f64 : DType::f32, x.device());
  if (y.size() > 0) HWY_DYNAMIC_DISPATCH(reduce)(op, x, view.outer, view.n, view.inner, y);
  return y;
}

// dx[o, j, i] = dy[o, i] for every j
template <class T>
void spread(const AxisView& view, const T* dy, T* dx) {
  const int64_t inner = view.inner, n = view.n;
  if (inner == 1) {
    parallel_blocks(view.outer, std::max<int64_t>(1, (1 << 14) / n),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t o = begin; o < end; ++o) std::fill_n(dx + o * n, n, dy[o]);
                    });
  } else {
    parallel_blocks(view.outer * n, std::max<int64_t>(1, (1 << 14) / inner),
                    [&](int64_t begin, int64_t end) {
                      for (int64_t r = begin; r < end; ++r)
                        std::copy_n(dy + r / n * inner, inner, dx + r * inner);
                    });
  }
}

// dx[o, j, i] = dy[o, i] for the first j at which x is y[o, i], else 0
template <class T>
void spread_to_largest(const AxisView& view, const T* x, const T* y, const T* dy, T* dx) {
  const int64_t inner = view.inner, n = view.n;
  parallel_blocks(view.outer, std::max<int64_t>(1, (1 << 14) / (n * inner)),
                  [&](int64_t begin, int64_t end) {
                    for (int64_t o = begin; o < end; ++o) {
                      std::fill_n(dx + o * n * inner, n * inner, T(0));
                      for (int64_t i = 0; i < inner; ++i) {
                        const T top = y[o * inner + i];
                        int64_t at = o * n * inner + i;
                        while (!(x[at] == top || std::isnan(float(x[at])))) at += inner;
                        dx[at] = dy[o * inner + i];
                      }
                    }
                  });
}

}  // namespace

Array sum_axis(const Array& x, int64_t outer, int64_t n, int64_t inner) {
  return reduced(Reduction::sum, x, AxisView(Shape{outer, n, inner}, 1));
}

Array CpuBackend::reduce(Reduction op, const Array& x, int axis) {
  Shape shape = x.shape();
  shape[axis] = 1;
  Array y = reduced(op, x, AxisView(x.shape(), axis));
  return (y.dtype() == x.dtype() ? y : cast(y, x.dtype())).reshape(shape);
}

Array CpuBackend::reduce_grad(Reduction op, const Array& x, const Array& y, const Array& dy,
                              int axis) {
  Array dx(x.shape(), dy.dtype(), dy.device());
  if (dx.size() == 0) return dx;
  const AxisView view(x.shape(), axis);
  visit_dtype(dy.dtype(), "reduce_grad", [&]<class T>(T) {
    if (op == Reduction::sum) return spread(view, dy.data<T>(), dx.data<T>());
    spread_to_largest(view, x.data<T>(), y.data<T>(), dy.data<T>(), dx.data<T>());
  });
  return dx;
}

}  // namespace folio
#endif
