#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/norms.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "core/cpu/cpu_backend.h"
#include "core/cpu/simd-inl.h"
#include "core/devices/sum_dtype.h"
#include "core/devices/visit_dtype.h"
#include "core/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {

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
  const int64_t block = std::max<int64_t>(1, (1 << 14) / C);
  parallel_blocks(x.rows(), block, [&](int64_t begin, int64_t end) HWY_ATTR {
    for (int64_t r = begin; r < end; ++r)
      normalize_row(in + r * C, C, weight, bias, A(eps), y + r * C, mean[r], rstd[r]);
  });
}

void layer_norm(const Array& x, const Array& w, const Array& b, double eps, LayerNormed& out) {
  visit_stream(x.dtype(), out.y.dtype(), "layer_norm",
               [&](auto t, auto y) { layer_norm_of<decltype(t), decltype(y)>(x, w, b, eps, out); });
}

// With n = (x - mean) rstd and g = dy w: dx = rstd (g - mean(g) - n mean(g n)). Adds dy n to dw and
// dy to db.
template <class T, class Y, class A = Compute<T>>
void grad_row(const Y* dy, const T* x, int64_t C, const A* w, A mean, A rstd, T* dx, A* dw, A* db) {
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
    store(factor * (g - mean_g - normal * mean_gn), dx + i, n);
  });
}

// Rows go in chunks that depend on the shape alone; each sums its dw and db apart, the chunks' sums
// are added in order, and the total to what dw and db hold.
template <class T, class Y>
void layer_norm_grad_of(const Array& dy, const Array& x, const Array& w, const Array& mean,
                        const Array& rstd, Array& dx_out, Array& dw_out, Array* db_out) {
  using A = Compute<T>;
  const int64_t C = x.dim(-1), rows = x.rows();
  const int64_t chunk = std::max<int64_t>(32, (rows + 63) / 64);
  const int64_t chunks = std::max<int64_t>(1, (rows + chunk - 1) / chunk);
  Array partial({chunks, 2, C}, dtype_of<A>, x.device());
  const Y* grad = dy.data<Y>();
  const T* in = x.data<T>();
  const A *weight = w.data<A>(), *means = mean.data<A>(), *rstds = rstd.data<A>();
  A* sums = partial.data<A>();
  T* dx = dx_out.data<T>();
  parallel_for(chunks, [&](int64_t c) HWY_ATTR {
    A *dw = sums + c * 2 * C, *db = dw + C;
    std::fill(dw, dw + 2 * C, A(0));
    for (int64_t r = c * chunk; r < std::min(rows, (c + 1) * chunk); ++r)
      grad_row(grad + r * C, in + r * C, C, weight, means[r], rstds[r], dx + r * C, dw, db);
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
  total(sums, dw_out.data<A>());
  if (db_out) total(sums + C, db_out->data<A>());
}

void layer_norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                     const Array& rstd, Array& dx, Array& dw, Array* db) {
  visit_stream(x.dtype(), dy.dtype(), "layer_norm_grad", [&](auto t, auto y) {
    layer_norm_grad_of<decltype(t), decltype(y)>(dy, x, w, mean, rstd, dx, dw, db);
  });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {
HWY_EXPORT(layer_norm);
HWY_EXPORT(layer_norm_grad);

namespace {

class CpuNormOps final : public NormOps {
 public:
  LayerNormed layer_norm(const Array& x, const Array& w, const Array& b, double eps,
                         DType dtype) override {
    const DType sums = sum_dtype(x.dtype());
    const Array weight = in_dtype(w, sums), bias = in_dtype(b, sums);
    LayerNormed out{Array(x.shape(), dtype, x.device()),
                    Array({x.rows()}, weight.dtype(), x.device()),
                    Array({x.rows()}, weight.dtype(), x.device())};
    HWY_DYNAMIC_DISPATCH(layer_norm)(x, weight, bias, eps, out);
    return out;
  }

  Array layer_norm_grad(const Array& dy, const Array& x, const Array& w, const Array& mean,
                        const Array& rstd, Array& dw, Array* db) override {
    const Array weight = in_dtype(w, sum_dtype(x.dtype()));
    for (Array* sum : {&dw, db}) {
      if (!sum) continue;
      if (!sum->defined()) *sum = zeros(w.shape(), weight.dtype(), x.device());
      sum->begin_write("layer_norm_grad");
    }
    Array dx(x.shape(), x.dtype(), x.device());
    HWY_DYNAMIC_DISPATCH(layer_norm_grad)(dy, x, weight, mean, rstd, dx, dw, db);
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
