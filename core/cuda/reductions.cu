#include "core/cuda/reductions.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/cuda/cuda_backend.h"
#include "core/cuda/each.h"
#include "core/cuda/kernels/pack.h"
#include "core/devices/axis_view.h"
#include "core/devices/packed_blocks.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"

namespace folio {
namespace {

using cuda::each, cuda::each_row;

struct SumOp {
  static constexpr double start = 0;
  template <class A>
  static __device__ A combine(A sum, A x) {
    return sum + x;
  }
};

struct MaxOp {  // a NaN is the largest
  static constexpr double start = -INFINITY;
  template <class A>
  static __device__ A combine(A top, A x) {
    return x > top || x != x ? x : top;
  }
};

// At most this many numbers in f32 are summed one after the other, what comes of them in f64: a sum
// of millions is as good as one of 64.
constexpr int64_t terms = 64;

// Of x[0], x[step], ... of n numbers.
template <class Op, class T>
__device__ double reduce_run(const T* x, int64_t n, int64_t step) {
  double total = Op::start;
  for (int64_t i = 0; i < n;) {
    auto group = SumOf<T>(Op::start);
    for (const int64_t end = i + terms < n ? i + terms : n; i < end; ++i)
      group = Op::combine(group, SumOf<T>(x[i * step]));
    total = Op::combine(total, double(group));
  }
  return total;
}

// How many parts n numbers are reduced in, for each of `results`: enough threads for a large GPU,
// `threads` of them a part, with at least 256 numbers each, as the shape alone says.
int64_t parts_of(int64_t n, int64_t results, int64_t threads) {
  constexpr int64_t enough = 1 << 17, most = 64;
  const int64_t wanted = enough / std::max<int64_t>(1, results * threads);
  return std::clamp<int64_t>(std::min(wanted, n / (256 * threads)), 1, most);
}

// The parts [parts, results] of each result, one after the other.
template <class Op, class Y>
void combine_parts(const Array& parts, int64_t results, Y* y) {
  const auto* from = parts.data<double>();
  const int64_t count = parts.size() / results;
  each("reduce's parts", results, [=] __device__(int64_t i) {
    double total = Op::start;
#pragma unroll 8
    for (int64_t part = 0; part < count; ++part)
      total = Op::combine(total, from[part * results + i]);
    y[i] = Y(total);
  });
}

// A warp a part of a row, a lane every 32nd number of it.
template <class Op, class T, class Y>
void reduce_rows(const T* x, int64_t rows, int64_t n, int64_t parts, Y* y) {
  each_row("reduce", rows * parts, [=] __device__(int64_t i, int lane) {
    const int64_t row = i % rows, part = i / rows;
    const int64_t begin = n * part / parts, size = n * (part + 1) / parts - begin;
    double total = reduce_run<Op>(x + row * n + begin + lane, (size - lane + 31) / 32, 32);
    for (int lanes = 16; lanes > 0; lanes /= 2)
      total = Op::combine(total, __shfl_xor_sync(cuda::all_lanes, total, lanes));
    if (lane == 0) y[i] = Y(total);
  });
}

// A thread a part of a column.
template <class Op, class T, class Y>
void reduce_columns(const T* x, int64_t outer, int64_t n, int64_t inner, int64_t parts, Y* y) {
  const int64_t columns = outer * inner;
  each("reduce", columns * parts, [=] __device__(int64_t i) {
    const int64_t column = i % columns, part = i / columns, begin = n * part / parts;
    const T* from = x + (column / inner * n + begin) * inner + column % inner;
    y[i] = Y(reduce_run<Op>(from, n * (part + 1) / parts - begin, inner));
  });
}

template <class Op, class T>
void reduce(const T* x, int64_t outer, int64_t n, int64_t inner, Array& y) {
  auto in_parts = [&](int64_t parts, auto* to) {
    if (inner == 1)
      reduce_rows<Op>(x, outer, n, parts, to);
    else
      reduce_columns<Op>(x, outer, n, inner, parts, to);
  };
  const int64_t results = outer * inner, parts = parts_of(n, results, inner == 1 ? 32 : 1);
  auto* to = y.data<SumOf<T>>();
  if (parts == 1) return in_parts(1, to);
  const Array partial({parts, results}, DType::f64, y.device());
  in_parts(parts, partial.data<double>());
  combine_parts<Op>(partial, results, to);
}

Array reduced(Reduction op, const Array& x, int64_t outer, int64_t n, int64_t inner) {
  const DType sums = sum_dtype(x.dtype());
  Array y({outer * inner}, sums, x.device());
  if (y.size() == 0) return y;
  visit_dtype(x.dtype(), "reduce", [&](auto t) {
    using T = decltype(t);
    if (op == Reduction::sum) return reduce<SumOp>(x.data<T>(), outer, n, inner, y);
    reduce<MaxOp>(x.data<T>(), outer, n, inner, y);
  });
  return y;
}

template <class T>
void spread(const T* dy, int64_t size, int64_t n, int64_t inner, T* dx) {
  each("reduce_grad", size,
       [=] __device__(int64_t i) { dx[i] = dy[i / (n * inner) * inner + i % inner]; });
}

// dx[o, j, i] = dy[o, i] for the first j at which x is y[o, i], else 0
template <class T>
void spread_to_largest(const T* x, const T* y, const T* dy, int64_t outer, int64_t n, int64_t inner,
                       T* dx) {
  each("reduce_grad", outer * inner, [=] __device__(int64_t r) {
    const T top = y[r];
    bool found = false;
    for (int64_t j = 0; j < n; ++j) {
      const int64_t at = (r / inner * n + j) * inner + r % inner;
      const bool is_it = !found && (x[at] == top || x[at] != x[at]);
      dx[at] = is_it ? dy[r] : T(0.0f);
      found |= is_it;
    }
  });
}

// found[w]: whether a number with every bit of `exponent` set is among those of warp w of `warps`.
// The i-th of n is x[place(i)].
template <class Bits, class Place>
void find_not_finite(const Bits* x, int64_t n, Place place, Bits exponent, int64_t warps,
                     uint8_t* found) {
  each_row("all_finite", warps, [=] __device__(int64_t warp, int lane) {
    bool any = false;
    for (int64_t i = warp * 32 + lane; i < n; i += warps * 32)
      any |= Bits(x[place(i)] & exponent) == exponent;
    any = __any_sync(cuda::all_lanes, any);
    if (lane == 0) found[warp] = any;
  });
}

template <class Bits, class Place>
bool finite(const Array& x, int64_t n, Place place, Bits exponent) {
  const int64_t warps = std::min<int64_t>(1024, (n + 31) / 32);
  if (warps == 0) return true;
  const Array found({warps}, DType::i8, x.device());
  find_not_finite(static_cast<const Bits*>(x.address()), n, place, exponent, warps,
                  static_cast<uint8_t*>(found.address()));
  std::vector<uint8_t> flags(static_cast<size_t>(warps));
  backend(found)->memory.read(found, flags.data());
  return std::ranges::none_of(flags, [](uint8_t flag) { return flag != 0; });
}

struct SamePlace {
  __device__ int64_t operator()(int64_t i) const { return i; }
};
template <class Bits>
bool finite(const Array& x, Bits exponent) {
  return finite(x, x.size(), SamePlace(), exponent);
}

// Of the i-th scale among the records of packed_blocks.h, in bf16.
struct ScalePlace {
  int64_t weights, record;  // bytes
  __device__ int64_t operator()(int64_t i) const {
    return (i / block_size * record + weights) / 2 + i % block_size;
  }
};

class CudaReductionOps final : public ReductionOps {
 public:
  Array reduce(Reduction op, const Array& x, int axis) override {
    Shape shape = x.shape();
    shape[axis] = 1;
    const AxisView view(x.shape(), axis);
    const Array y = reduced(op, x, view.outer, view.n, view.inner);
    return (y.dtype() == x.dtype() ? y : backend(y)->elementwise.cast(y, x.dtype())).reshape(shape);
  }

  Array reduce_grad(Reduction op, const Array& x, const Array& y, const Array& dy,
                    int axis) override {
    Array dx(x.shape(), dy.dtype(), dy.device());
    const AxisView view(x.shape(), axis);
    visit_dtype(dy.dtype(), "reduce_grad", [&](auto t) {
      using T = decltype(t);
      if (op == Reduction::sum)
        return spread<T>(dy.data<T>(), dx.size(), view.n, view.inner, dx.data<T>());
      spread_to_largest<T>(x.data<T>(), y.data<T>(), dy.data<T>(), view.outer, view.n, view.inner,
                           dx.data<T>());
    });
    return dx;
  }

  bool all_finite(const Array& x) override {
    switch (x.dtype()) {
      case DType::f64:
        return finite<uint64_t>(x, 0x7ff0000000000000);
      case DType::f32:
        return finite<uint32_t>(x, 0x7f800000);
      case DType::bf16:
        return finite<uint16_t>(x, 0x7f80);
      default:
        return true;  // integers
    }
  }

  bool all_finite(const PackedWeight& w) override {
    if (w.format != WeightFormat::int8 && w.format != WeightFormat::int4) return all_finite(w.data);
    const int64_t weights = weight_bytes(w.format), record = record_bytes(w.format);
    const int64_t scales = w.data.dim(0) * w.data.dim(1) * block_size;
    return finite<uint16_t>(w.data, scales, ScalePlace{weights, record}, 0x7f80);
  }
};

}  // namespace

Array cuda::sum_axis(const Array& x, int64_t outer, int64_t n, int64_t inner) {
  return reduced(Reduction::sum, x, outer, n, inner);
}

ReductionOps& cuda_reductions() {
  static auto& operations = *new CudaReductionOps;
  return operations;
}

}  // namespace folio
