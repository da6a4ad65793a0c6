#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/reductions.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/reductions.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/packed_blocks.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

struct SumOp {
  static constexpr double start = 0;
  template <class D>
  static HWY_INLINE Simd<D> combine(Simd<D> sum, Simd<D> x) {
    return sum + x;
  }
  static double combine_one(double sum, double x) { return sum + x; }
};

struct MaxOp {  // a NaN is the largest
  static constexpr double start = -std::numeric_limits<double>::infinity();
  template <class D>
  static HWY_INLINE Simd<D> combine(Simd<D> top, Simd<D> x) {
    return hn::IfThenElse(hn::Or(hn::Gt(x.v, top.v), hn::IsNaN(x.v)), x.v, top.v);
  }
  static double combine_one(double top, double x) { return x > top || std::isnan(x) ? x : top; }
};

// At most this many numbers in f32 are summed one after the other, what comes of them in f64: a sum
// of millions is as good as one of 64.
constexpr int64_t terms = 64;

// One number of x[0..n).
template <class Op, class T, class A = Compute<T>>
double reduce_run(const T* x, int64_t n) {
  const Tag<T> d;
  const auto lanes = int64_t(hn::Lanes(d));
  HWY_ALIGN A of_lanes[hn::MaxLanes(d)];
  double total = Op::start;
  int64_t i = 0;
  while (i + lanes <= n) {
    Simd<Tag<T>> piece(Op::start);
    const int64_t end = std::min(n, i + terms * lanes);
    for (; i + lanes <= end; i += lanes) piece = Op::combine(piece, load(d, x + i, Whole()));
    hn::Store(piece.v, d, of_lanes);
    for (int64_t l = 0; l < lanes; ++l) total = Op::combine_one(total, double(of_lanes[l]));
  }
  for (; i < n; ++i) total = Op::combine_one(total, double(x[i]));
  return total;
}

// y[i] of x[0..n)[i] for the `width` (at most column_block) columns at x, whose rows are `stride`
// apart.
constexpr int64_t column_block = 64;
template <class Op, class T, class A = Compute<T>>
void reduce_columns(const T* x, int64_t n, int64_t stride, int64_t width, A* y) {
  const Tag<T> d;
  HWY_ALIGN A group[column_block];
  double total[column_block];
  std::fill_n(total, width, Op::start);
  for (int64_t begin = 0; begin < n; begin += terms) {
    std::fill_n(group, width, A(Op::start));
    for (int64_t j = begin; j < std::min(n, begin + terms); ++j) {
      for_vectors(d, 0, width, [&](int64_t i, auto part) HWY_ATTR {
        auto value = Op::combine(load(d, group + i, part), load(d, x + j * stride + i, part));
        store(value, group + i, part);
      });
    }
    for (int64_t i = 0; i < width; ++i) total[i] = Op::combine_one(total[i], double(group[i]));
  }
  for (int64_t i = 0; i < width; ++i) y[i] = A(total[i]);
}

template <class Op, class T, class A = Compute<T>>
void reduce_rows(const T* x, int64_t rows, int64_t n, A* y) {
  // A long run is cut, by its length alone, for several threads.
  const int64_t part = 1 << 16, parts = std::max<int64_t>(1, (n + part - 1) / part);
  std::vector<double> of_parts(static_cast<size_t>(rows * parts));
  const int64_t grain = std::max<int64_t>(1, (1 << 14) / std::max<int64_t>(n, 1));
  parallel_blocks(rows * parts, grain, [&](int64_t first, int64_t last) HWY_ATTR {
    for (int64_t task = first; task < last; ++task) {
      const int64_t begin = task % parts * part;
      of_parts[size_t(task)] =
          reduce_run<Op>(x + task / parts * n + begin, std::min(part, n - begin));
    }
  });
  for (int64_t r = 0; r < rows; ++r) {
    double total = Op::start;
    for (int64_t p = 0; p < parts; ++p)
      total = Op::combine_one(total, of_parts[size_t(r * parts + p)]);
    y[r] = A(total);
  }
}

template <class Op, class T, class A = Compute<T>>
void reduce_of(const T* x, int64_t outer, int64_t n, int64_t inner, A* y) {
  if (inner == 1) return reduce_rows<Op>(x, outer, n, y);
  const int64_t blocks = (inner + column_block - 1) / column_block;
  const int64_t grain = std::max<int64_t>(1, (1 << 14) / (column_block * std::max<int64_t>(n, 1)));
  parallel_blocks(outer * blocks, grain, [&](int64_t first, int64_t last) HWY_ATTR {
    for (int64_t task = first; task < last; ++task) {
      const int64_t o = task / blocks, i = task % blocks * column_block;
      reduce_columns<Op>(x + o * n * inner + i, n, inner, std::min(column_block, inner - i),
                         y + o * inner + i);
    }
  });
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
  Array y({view.outer * view.inner}, sum_dtype(x.dtype()), x.device());
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

namespace {

// A number is not finite if every bit of its exponent is set. Bits, so that no -ffast-math can
// decide it, and in lanes of a fixed number, of which compilers make vectors.
template <class Bits>
bool finite(const void* numbers, int64_t n, Bits exponent) {
  constexpr int lanes = 64 / sizeof(Bits);
  const auto* bits = static_cast<const Bits*>(numbers);
  Bits found[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int lane = 0; lane < lanes; ++lane)
      found[lane] |= Bits((bits[i + lane] & exponent) == exponent);
  for (; i < n; ++i) found[0] |= Bits((bits[i] & exponent) == exponent);
  return std::ranges::count(found, Bits(0)) == lanes;
}

template <class Bits>
bool finite_in_parallel(const Array& x, Bits exponent) {
  std::atomic<bool> all = true;
  const auto* bits = static_cast<const Bits*>(x.address());
  parallel_blocks(x.size(), 1 << 16, [&](int64_t begin, int64_t end) {
    if (!finite(bits + begin, end - begin, exponent)) all = false;
  });
  return all;
}

class CpuReductionOps final : public ReductionOps {
 public:
  Array reduce(Reduction op, const Array& x, int axis) override {
    Shape shape = x.shape();
    shape[axis] = 1;
    Array y = reduced(op, x, AxisView(x.shape(), axis));
    return (y.dtype() == x.dtype() ? y : backend(y)->elementwise.cast(y, x.dtype())).reshape(shape);
  }

  Array reduce_grad(Reduction op, const Array& x, const Array& y, const Array& dy,
                    int axis) override {
    Array dx(x.shape(), dy.dtype(), dy.device());
    if (dx.size() == 0) return dx;
    const AxisView view(x.shape(), axis);
    visit_dtype(dy.dtype(), "reduce_grad", [&]<class T>(T) {
      if (op == Reduction::sum) return spread(view, dy.data<T>(), dx.data<T>());
      spread_to_largest(view, x.data<T>(), y.data<T>(), dy.data<T>(), dx.data<T>());
    });
    return dx;
  }

  bool all_finite(const Array& x) override {
    switch (x.dtype()) {
      case DType::f64:
        return finite_in_parallel<uint64_t>(x, 0x7ff0000000000000);
      case DType::f32:
        return finite_in_parallel<uint32_t>(x, 0x7f800000);
      case DType::bf16:
        return finite_in_parallel<uint16_t>(x, 0x7f80);
      default:
        return true;  // integers
    }
  }

  bool all_finite(const PackedWeight& w) override {
    if (w.format != WeightFormat::int8 && w.format != WeightFormat::int4) return all_finite(w.data);
    std::atomic<bool> all = true;
    const auto* records = static_cast<const char*>(w.data.address());
    int64_t weights = weight_bytes(w.format), bytes = record_bytes(w.format);
    parallel_blocks(int64_t(w.data.bytes()) / bytes, 1 << 10, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        if (!finite<uint16_t>(records + i * bytes + weights, block_size, 0x7f80)) all = false;
    });
    return all;
  }
};

}  // namespace

ReductionOps& cpu_reductions() {
  static auto& operations = *new CpuReductionOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif
