#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/norms.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/dropout-inl.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/layer_norm_results.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

inline int64_t rows_at_once(int64_t C) { return std::max<int64_t>(1, (1 << 14) / C); }

// The variance is summed around the mean, over a row that the first pass left in the cache.
template <class T, class Y, class A = Compute<T>>
void normalize_row(const T* x, int64_t C, const A* w, const A* b, A eps, Y* y, A& mean, A& rstd) {
  Tag<T> d;
  using F = Simd<Tag<T>>;
  F total(0.0), squares(0.0);
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR { total = total + load(d, x + i, n); });
  mean = sum(total) / A(C);
  const F center(mean);
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
    F offset = stored_lanes(load(d, x + i, n) - center, n);
    squares = squares + offset * offset;
  });
  rstd = A(1) / std::sqrt(sum(squares) / A(C) + eps);
  const F factor(rstd);
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
    F scaled = (load(d, x + i, n) - center) * factor * load(d, w + i, n);
    store(b ? scaled + load(d, b + i, n) : scaled, y + i, n);
  });
}

template <class T, class Y>
void layer_norm_of(const Array& x, const Array& w, const Array& b, double eps, LayerNormed& out) {
  using A = Compute<T>;
  const int64_t C = x.dim(-1);
  const T* in = x.data<T>();
  const A *weight = w.data<A>(), *bias = b.defined() ? b.data<A>() : nullptr;
  Y* y = out.y.data<Y>();
  A *mean = out.mean.data<A>(), *rstd = out.rstd.data<A>();
  parallel_blocks(x.rows(), rows_at_once(C), [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t r = begin; r < end; ++r)
      normalize_row(in + r * C, C, weight, bias, A(eps), y + r * C, mean[r], rstd[r]);
  });
}

template <class T, class Y>
void add_dropout_layer_norm_of(const Array& residual, const Array& x, const Dropout& dropout,
                               const Array& w, const Array& b, double eps, NormedSum& out) {
  using A = Compute<T>;
  const int64_t C = x.dim(-1);
  const T* base = residual.data<T>();
  const Y* branch = x.data<Y>();
  const A *weight = w.data<A>(), *bias = b.defined() ? b.data<A>() : nullptr;
  T* sum = out.sum.data<T>();
  Y* y = out.normed.y.data<Y>();
  A *mean = out.normed.mean.data<A>(), *rstd = out.normed.rstd.data<A>();
  parallel_blocks(x.rows(), rows_at_once(C), [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t r = begin; r < end; ++r) {
      add_dropout_range(base, branch, dropout, r * C, (r + 1) * C, sum);
      normalize_row(sum + r * C, C, weight, bias, A(eps), y + r * C, mean[r], rstd[r]);
    }
  });
}

void add_dropout_layer_norm(const Array& residual, const Array& x, const Dropout& dropout,
                            const Array& w, const Array& b, double eps, NormedSum& out) {
  visit_stream(residual.dtype(), x.dtype(), "add_dropout_layer_norm", [&](auto t, auto y) {
    add_dropout_layer_norm_of<decltype(t), decltype(y)>(residual, x, dropout, w, b, eps, out);
  });
}

void layer_norm(const Array& x, const Array& w, const Array& b, double eps, LayerNormed& out) {
  visit_stream(x.dtype(), out.y.dtype(), "layer_norm",
               [&](auto t, auto y) { layer_norm_of<decltype(t), decltype(y)>(x, w, b, eps, out); });
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

// With n = (x - mean) rstd and g = dy w: dx = rstd (g - mean(g) - n mean(g n)), to which `so_far`
// is added unless it is null. Adds dy n to dw and dy to db.
template <class T, class Y, class A = Compute<T>>
void grad_row(const Y* dy, const T* x, int64_t C, const A* w, A mean, A rstd, const T* so_far,
              T* dx, A* dw, A* db) {
  Tag<T> d;
  using F = Simd<Tag<T>>;
  const F center(mean), factor(rstd);
  F sum_g(0.0), sum_gn(0.0);
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {  // lanes past the end have dy = 0
    F grad = load(d, dy + i, n), normal = (load(d, x + i, n) - center) * factor;
    F g = grad * load(d, w + i, n), gn = grad * normal;
    sum_g = sum_g + g;
    sum_gn = sum_gn + g * normal;
    store(load(d, dw + i, n) + gn, dw + i, n);
    store(load(d, db + i, n) + grad, db + i, n);
  });
  const F mean_g(sum(sum_g) / A(C)), mean_gn(sum(sum_gn) / A(C));
  for_vectors(d, 0, C, [&](int64_t i, auto n) HWY_ATTR {
    F normal = (load(d, x + i, n) - center) * factor;
    F g = load(d, dy + i, n) * load(d, w + i, n);
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
  const A *w = in.w.data<A>(), *mean = in.mean.data<A>(), *rstd = in.rstd.data<A>();
  A* sums = partial.data<A>();
  parallel_for(chunks, [&](int64_t c) HWY_ATTR {
    A *dw = sums + c * 2 * C, *db = dw + C;
    std::fill(dw, dw + 2 * C, A(0));
    for (int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r) {
      grad_row(dy + r * C, x + r * C, C, w, mean[r], rstd[r], so_far ? so_far + r * C : nullptr,
               dx + r * C, dw, db);
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
  total(sums, in.dw.data<A>());
  if (in.db) total(sums + C, in.db->data<A>());
}

void layer_norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                     const Array& rstd, Array& dx, Array& dw, Array* db) {
  const Grad in{dy, x, w, mean, rstd, dw, db};
  visit_stream(in.x.dtype(), in.dy.dtype(), "layer_norm_grad", [&](auto t, auto y) {
    using T = decltype(t);
    grad_rows<T, decltype(y)>(in, nullptr, dx.data<T>(), [](int64_t) {});
  });
}

// `dsum` holds what has arrived so far if `adds`; dx may share its storage.
void add_dropout_layer_norm_grad(const Array& dy, const Array& sum, const Array& w,
                                 const Array& mean, const Array& rstd, const Dropout& dropout,
                                 bool adds, Array& dsum, Array& dx, Array& dw, Array* db) {
  const Grad in{dy, sum, w, mean, rstd, dw, db};
  visit_stream(in.x.dtype(), in.dy.dtype(), "add_dropout_layer_norm_grad", [&](auto t, auto y) {
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
HWY_EXPORT(layer_norm);
HWY_EXPORT(layer_norm_grad);
HWY_EXPORT(add_dropout_layer_norm);
HWY_EXPORT(add_dropout_layer_norm_grad);

namespace {

class CpuNormOps final : public NormOps {
 public:
  LayerNormed layer_norm(const Array& x, const Array& w, const Array& b, double eps,
                         DType dtype) override {
    const DType sums = sum_dtype(x.dtype());
    LayerNormed out = unset_layer_norm(x, dtype);
    HWY_DYNAMIC_DISPATCH(layer_norm)(x, in_dtype(w, sums), in_dtype(b, sums), eps, out);
    return out;
  }

  Array layer_norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                        const Array& rstd, Array& dw, Array* db) override {
    begin_layer_norm_sums("layer_norm_grad", x, w, dw, db);
    Array dx(x.shape(), x.dtype(), x.device());
    const Array weight = in_dtype(w, sum_dtype(x.dtype()));
    HWY_DYNAMIC_DISPATCH(layer_norm_grad)(dy, x, weight, mean, rstd, dx, dw, db);
    return dx;
  }

  NormedSum add_dropout_layer_norm(const Array& residual, const Array& x, const Dropout& dropout,
                                   const Array& w, const Array& b, double eps) override {
    const DType sums = sum_dtype(x.dtype());
    NormedSum out{Array(x.shape(), residual.dtype(), x.device()), unset_layer_norm(x, x.dtype())};
    HWY_DYNAMIC_DISPATCH(add_dropout_layer_norm)
    (residual, x, dropout, in_dtype(w, sums), in_dtype(b, sums), eps, out);
    return out;
  }

  Array add_dropout_layer_norm_grad(const Array& dy, const Array& sum, const Array& w,
                                    const Array& mean, const Array& rstd, const Dropout& dropout,
                                    Array& dsum, Array& dw, Array* db) override {
    constexpr const char* name = "add_dropout_layer_norm_grad";
    begin_layer_norm_sums(name, sum, w, dw, db);
    const bool adds = dsum.defined();
    if (!adds) dsum = Array(sum.shape(), sum.dtype(), sum.device());
    dsum.begin_write(name);
    Array dx =
        is_one_gradient(dy, sum, dropout) ? dsum : Array(dy.shape(), dy.dtype(), dy.device());
    const Array weight = in_dtype(w, sum_dtype(sum.dtype()));
    HWY_DYNAMIC_DISPATCH(add_dropout_layer_norm_grad)
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
