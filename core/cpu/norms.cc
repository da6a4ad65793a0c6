#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/norms.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/dropout-inl.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/norm_results.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

inline int64_t rows_at_once(int64_t C) { return std::max<int64_t>(1, (1 << 14) / C); }

// What the forward of a norm reads and writes beside the row; w, b and, for rms, mean may be null.
template <class A>
struct Forward {
  const A *w, *b;
  A *mean, *rstd;
  A eps;
};

// y = x rstd w.
template <class T, class Y, class A = Compute<T>>
void rms_row(const T* x, int64_t C, const Forward<A>& norm, Y* y, A& rstd) {
  Tag<T> d;
  using F = Simd<Tag<T>>;
  F squares(0.0);
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
    const F value = load(d, x + i, n);
    squares = squares + value * value;
  });
  rstd = A(1) / std::sqrt(sum(squares) / A(C) + norm.eps);
  const F factor(rstd);
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
    const F scaled = load(d, x + i, n) * factor;
    store(norm.w ? scaled * load(d, norm.w + i, n) : scaled, y + i, n);
  });
}

// The variance is summed around the mean, over a row that the first pass left in the cache.
template <class T, class Y, class A = Compute<T>>
void layer_row(const T* x, int64_t C, const Forward<A>& norm, Y* y, A& mean, A& rstd) {
  Tag<T> d;
  using F = Simd<Tag<T>>;
  const A *w = norm.w, *b = norm.b;
  F total(0.0), squares(0.0);
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR { total = total + load(d, x + i, n); });
  mean = sum(total) / A(C);
  const F center(mean);
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
    F offset = stored_lanes(load(d, x + i, n) - center, n);
    squares = squares + offset * offset;
  });
  rstd = A(1) / std::sqrt(sum(squares) / A(C) + norm.eps);
  const F factor(rstd);
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
    F scaled = (load(d, x + i, n) - center) * factor;
    if (w) scaled = scaled * load(d, w + i, n);
    store(b ? scaled + load(d, b + i, n) : scaled, y + i, n);
  });
}

// Row r of what gives y [..., C].
template <class T, class Y, class A = Compute<T>>
void norm_row(const T* x, int64_t C, int64_t r, const Forward<A>& norm, Y* y) {
  if (norm.mean)
    layer_row(x, C, norm, y, norm.mean[r], norm.rstd[r]);
  else
    rms_row(x, C, norm, y, norm.rstd[r]);
}

template <class A>
A* data_of(const Array& x) {
  return x.defined() ? x.data<A>() : nullptr;
}
template <class A>
Forward<A> forward_of(const Array& w, const Array& b, double eps, const Normed& out) {
  return {data_of<A>(w), data_of<A>(b), data_of<A>(out.mean), out.rstd.data<A>(), A(eps)};
}

template <class T, class Y>
void norm_of(const Array& x, const Array& w, const Array& b, double eps, Normed& out) {
  const int64_t C = x.dim(-1);
  const T* in = x.data<T>();
  Y* y = out.y.data<Y>();
  const auto norm = forward_of<Compute<T>>(w, b, eps, out);
  parallel_blocks(x.rows(), rows_at_once(C), [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t r = begin; r < end; ++r) norm_row(in + r * C, C, r, norm, y + r * C);
  });
}

template <class T, class Y>
void add_dropout_norm_of(const Array& residual, const Array& x, const Dropout& dropout,
                         const Array& w, const Array& b, double eps, NormedSum& out) {
  const int64_t C = x.dim(-1);
  const T* base = residual.data<T>();
  const Y* branch = x.data<Y>();
  T* sum = out.sum.data<T>();
  Y* y = out.normed.y.data<Y>();
  const auto norm = forward_of<Compute<T>>(w, b, eps, out.normed);
  parallel_blocks(x.rows(), rows_at_once(C), [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t r = begin; r < end; ++r) {
      add_dropout_range(base, branch, dropout, r * C, (r + 1) * C, sum);
      norm_row(sum + r * C, C, r, norm, y + r * C);
    }
  });
}

void add_dropout_norm(const Array& residual, const Array& x, const Dropout& dropout, const Array& w,
                      const Array& b, double eps, NormedSum& out) {
  visit_stream(residual.dtype(), x.dtype(), "add_dropout_norm", [&](auto t, auto y) {
    add_dropout_norm_of<decltype(t), decltype(y)>(residual, x, dropout, w, b, eps, out);
  });
}

void norm(const Array& x, const Array& w, const Array& b, double eps, Normed& out) {
  visit_stream(x.dtype(), out.y.dtype(), "norm",
               [&](auto t, auto y) { norm_of<decltype(t), decltype(y)>(x, w, b, eps, out); });
}

// x as it is read again after it was stored as T.
template <class T, class D>
inline Simd<D> rounded(Simd<D> x) {
  if constexpr (std::is_same_v<T, bfloat16>) {
    const auto upper = hn::ShiftRight<16>(bf16_bits(D(), x.v));
    return hn::BitCast(D(), hn::ShiftLeft<16>(upper));
  }
  return x;
}

// What the gradient of a norm reads beside the row and dy, where its sums go, and what is added to
// dx. `w` and `so_far` may be null.
template <class T, class A = Compute<T>>
struct Backward {
  const A* w;
  A mean, rstd;
  const T* so_far;
  A *dw, *db;
};

// With n = x rstd and g = dy w: dx = rstd (g - n mean(g n)), to which `so_far` is added. Adds dy n
// to dw.
template <class T, class Y, class A = Compute<T>>
void rms_grad_row(const Y* dy, const T* x, int64_t C, const Backward<T>& in, T* dx) {
  Tag<T> d;
  using F = Simd<Tag<T>>;
  const F factor(in.rstd);
  F sum_gn(0.0);
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {  // lanes past the end have dy = 0
    const F gn = load(d, dy + i, n) * (load(d, x + i, n) * factor);
    sum_gn = sum_gn + (in.w ? gn * load(d, in.w + i, n) : gn);
    store(load(d, in.dw + i, n) + gn, in.dw + i, n);
  });
  const F mean_gn(sum(sum_gn) / A(C));
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
    F g = load(d, dy + i, n);
    if (in.w) g = g * load(d, in.w + i, n);
    const F grad = factor * (g - load(d, x + i, n) * factor * mean_gn);
    store(in.so_far ? rounded<T>(grad) + load(d, in.so_far + i, n) : grad, dx + i, n);
  });
}

// With n = (x - mean) rstd and g = dy w: dx = rstd (g - mean(g) - n mean(g n)), to which `so_far`
// is added. Adds dy n to dw and dy to db.
template <class T, class Y, class A = Compute<T>>
void layer_grad_row(const Y* dy, const T* x, int64_t C, const Backward<T>& in, T* dx) {
  Tag<T> d;
  using F = Simd<Tag<T>>;
  const A* w = in.w;
  const T* so_far = in.so_far;
  A *dw = in.dw, *db = in.db;
  const F center(in.mean), factor(in.rstd);
  F sum_g(0.0), sum_gn(0.0);
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {  // lanes past the end have dy = 0
    F grad = load(d, dy + i, n), normal = (load(d, x + i, n) - center) * factor;
    F g = w ? grad * load(d, w + i, n) : grad, gn = grad * normal;
    sum_g = sum_g + g;
    sum_gn = sum_gn + g * normal;
    store(load(d, dw + i, n) + gn, dw + i, n);
    store(load(d, db + i, n) + grad, db + i, n);
  });
  const F mean_g(sum(sum_g) / A(C)), mean_gn(sum(sum_gn) / A(C));
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
    F normal = (load(d, x + i, n) - center) * factor;
    F g = load(d, dy + i, n);
    if (w) g = g * load(d, w + i, n);
    F grad = factor * (g - mean_g - normal * mean_gn);
    store(so_far ? rounded<T>(grad) + load(d, so_far + i, n) : grad, dx + i, n);
  });
}

// What a gradient reads, and where the sums of dw and db, if they are wanted, go.
struct Grad {
  const Array &dy, &x, &w, &mean, &rstd;
  Array& dw;
  Array* db;
};

// dx = so_far, unless that is null, + the gradient; row_done(r) once row r of it is there. Rows go
// in chunks that depend on the shape alone; each sums its dw and db apart, the chunks' sums are
// added in order, and the total to what dw and db hold.
template <class T, class Y, class F>
void grad_rows(const Grad& in, const T* so_far, T* dx, F&& row_done) {
  using A = Compute<T>;
  const int64_t C = in.x.dim(-1), rows = in.x.rows();
  const int64_t chunk = std::max<int64_t>(32, (rows + 63) / 64);
  const int64_t chunks = std::max<int64_t>(1, (rows + chunk - 1) / chunk);
  Array partial({chunks, 2, C}, dtype_of<A>, in.x.device());
  const Y* dy = in.dy.data<Y>();
  const T* x = in.x.data<T>();
  const A *w = data_of<A>(in.w), *mean = data_of<A>(in.mean), *rstd = in.rstd.data<A>();
  A* sums = partial.data<A>();
  parallel_for(chunks, [&](int64_t c) HWY_ATTR {
    A *dw = sums + c * 2 * C, *db = dw + C;
    std::fill(dw, dw + 2 * C, A(0));
    for (int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
      const Backward<T> row{
          w, mean ? mean[r] : A(0), rstd[r], so_far ? so_far + r * C : nullptr, dw, db};
      if (mean)
        layer_grad_row(dy + r * C, x + r * C, C, row, dx + r * C);
      else
        rms_grad_row(dy + r * C, x + r * C, C, row, dx + r * C);
      row_done(r);
    }
  });
  Tag<T> d;
  auto total = [&](const A* from, A* to) HWY_ATTR {
    parallel_blocks(C, 1 << 10, [&](int64_t begin, int64_t end) HWY_ATTR {
      for_vectors(d, begin, end, [&](int64_t i, auto n) HWY_ATTR {
        auto value = load(d, from + i, n);
        for (int64_t c = 1; c < chunks; ++c) value = value + load(d, from + c * 2 * C + i, n);
        store(load(d, to + i, n) + value, to + i, n);
      });
    });
  };
  if (in.w.defined()) total(sums, in.dw.data<A>());
  if (in.db) total(sums + C, in.db->data<A>());
}

void norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
               const Array& rstd, Array& dx, Array& dw, Array* db) {
  const Grad in{dy, x, w, mean, rstd, dw, db};
  visit_stream(in.x.dtype(), in.dy.dtype(), "norm_grad", [&](auto t, auto y) {
    using T = decltype(t);
    grad_rows<T, decltype(y)>(in, nullptr, dx.data<T>(), [](int64_t) {});
  });
}

// `dsum` holds what has arrived so far if `adds`; dx may share its storage.
void add_dropout_norm_grad(const Array& dy, const Array& sum, const Array& w, const Array& mean,
                           const Array& rstd, const Dropout& dropout, bool adds, Array& dsum,
                           Array& dx, Array& dw, Array* db) {
  const Grad in{dy, sum, w, mean, rstd, dw, db};
  visit_stream(in.x.dtype(), in.dy.dtype(), "add_dropout_norm_grad", [&](auto t, auto y) {
    using T = decltype(t);
    using Y = decltype(y);
    const int64_t C = in.x.dim(-1);
    T* whole = dsum.data<T>();
    Y* out = dx.shares_storage_with(dsum) ? nullptr : dx.data<Y>();
    auto drop_row = [=, &dropout](int64_t r) HWY_ATTR {
      if (out) add_dropout_range<T, Y>(nullptr, whole, dropout, r * C, (r + 1) * C, out);
    };
    grad_rows<T, Y>(in, adds ? whole : nullptr, whole, drop_row);
  });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(norm);
HWY_EXPORT(norm_grad);
HWY_EXPORT(add_dropout_norm);
HWY_EXPORT(add_dropout_norm_grad);

namespace {

class CpuNormOps final : public NormOps {
 public:
  Normed norm(const Array& x, const Array& w, const Array& b, const Norm& norm,
              DType dtype) override {
    const DType sums = sum_dtype(x.dtype());
    Normed out = unset_norm(x, norm, dtype);
    HWY_DYNAMIC_DISPATCH(norm)(x, in_dtype(w, sums), in_dtype(b, sums), norm.eps, out);
    return out;
  }

  Array norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                  const Array& rstd, Array& dw, Array* db) override {
    begin_norm_sums("norm_grad", x, w, dw, db);
    Array dx(x.shape(), x.dtype(), x.device());
    const Array weight = in_dtype(w, sum_dtype(x.dtype()));
    HWY_DYNAMIC_DISPATCH(norm_grad)(dy, x, weight, mean, rstd, dx, dw, db);
    return dx;
  }

  NormedSum add_dropout_norm(const Array& residual, const Array& x, const Dropout& dropout,
                             const Array& w, const Array& b, const Norm& norm) override {
    const DType sums = sum_dtype(x.dtype());
    NormedSum out{Array(x.shape(), residual.dtype(), x.device()), unset_norm(x, norm, x.dtype())};
    HWY_DYNAMIC_DISPATCH(add_dropout_norm)
    (residual, x, dropout, in_dtype(w, sums), in_dtype(b, sums), norm.eps, out);
    return out;
  }

  Array add_dropout_norm_grad(const Array& dy, const Array& sum, const Array& w, const Array& mean,
                              const Array& rstd, const Dropout& dropout, Array& dsum, Array& dw,
                              Array* db) override {
    constexpr const char* name = "add_dropout_norm_grad";
    begin_norm_sums(name, sum, w, dw, db);
    const bool adds = dsum.defined();
    if (!adds) dsum = Array(sum.shape(), sum.dtype(), sum.device());
    dsum.begin_write(name);
    Array dx =
        is_one_gradient(dy, sum, dropout) ? dsum : Array(dy.shape(), dy.dtype(), dy.device());
    const Array weight = in_dtype(w, sum_dtype(sum.dtype()));
    HWY_DYNAMIC_DISPATCH(add_dropout_norm_grad)
    (dy, sum, weight, mean, rstd, dropout, adds, dsum, dx, dw, db);
    return dx;
  }
};

}  // namespace

NormOps& cpu_norms() {
  static auto& operations = *new CpuNormOps;  // outlives every Array, static ones included
  return operations;
}

}  // namespace folio
#endif
