#include "core/cpu/epilogue.h"

#include <cmath>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/cpu/epilogue.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h
#include "core/cpu/epilogue_table.h"
#include "core/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace folio::HWY_NAMESPACE {
namespace {

template <class A, class T>
void bias_act(const A* sum, const A* bias, int64_t n, Unary act, T* pre, T* y) {
  const Tag<A> d;
  auto rows = [&](auto apply) HWY_ATTR {
    for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
      auto value = load(d, sum + i, part);
      if (bias) value = value + load(d, bias + i, part);
      if (pre) store(value, pre + i, part);
      store(apply(value), y + i, part);
    });
  };
  if (act == Unary::none) return rows([](auto x) HWY_ATTR { return x; });
  visit_unary(act, [&](auto op) HWY_ATTR { rows([op](auto x) HWY_ATTR { return op.value(x); }); });
}

template <class A, class T>
void act_grad(const A* sum, const T* pre, int64_t n, Unary act, T* post, T* dx) {
  const Tag<A> d;
  visit_unary(act, [&](auto op) HWY_ATTR {
    for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
      auto x = load(d, pre + i, part);
      auto value = op.value(x);  // beside the slope, so that what both need is computed once
      store(load(d, sum + i, part) * op.slope(x), dx + i, part);
      if (post) store(value, post + i, part);
    });
  });
}

template <class D>
HWY_INLINE Simd<D> keep(D, Simd<D> x, Whole) {
  return x;
}
template <class D>
HWY_INLINE Simd<D> keep(D d, Simd<D> x, size_t n) {
  return hn::IfThenElseZero(hn::FirstN(d, n), x.v);
}

template <class A>
A max_of(const A* x, int64_t n) {
  const Tag<A> d;
  auto top = hn::Set(d, x[0]);
  const auto lanes = int64_t(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) top = hn::Max(top, hn::LoadU(d, x + i));
  A result = hn::GetLane(hn::MaxOfLanes(d, top));
  for (; i < n; ++i) result = x[i] > result ? x[i] : result;
  return result;
}

// x = c tanh(x / c), and the slope of that if it is wanted.
template <class A>
void cap(A* x, int64_t n, A softcap, A* slopes) {
  const Tag<A> d;
  using F = Simd<Tag<A>>;
  const F c(static_cast<double>(softcap)), inverse(1 / static_cast<double>(softcap)), one(1.0);
  for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
    const F t = tanh(load(d, x + i, part) * inverse);
    store(c * t, x + i, part);
    if (slopes) store(one - t * t, slopes + i, part);
  });
}

template <class A, class T>
A softmax_loss(A* x, int64_t n, int64_t target, A scale, T* dx, A softcap, A* slopes) {
  const Tag<A> d;
  if (softcap > 0) cap(x, n, softcap, dx ? slopes : nullptr);
  const A top = max_of(x, n), at_target = x[target] - top;
  const Simd<Tag<A>> shift(static_cast<double>(top));
  Simd<Tag<A>> sums(0.0);
  for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
    auto e = keep(d, exp(load(d, x + i, part) - shift), part);
    store(e, x + i, part);
    sums = sums + e;
  });
  const A sum = hn::GetLane(hn::SumOfLanes(d, sums.v));
  if (dx) {
    const A at = (x[target] / sum - A(1)) * scale;
    const Simd<Tag<A>> factor(static_cast<double>(scale / sum));
    for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
      store(load(d, x + i, part) * factor, dx + i, part);
    });
    dx[target] = T(at);
    if (softcap > 0) {
      for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
        store(load(d, dx + i, part) * load(d, slopes + i, part), dx + i, part);
      });
    }
  }
  return std::log(sum) - at_target;
}

template <class A, class T>
void add_row(const T* x, int64_t n, A* y) {
  const Tag<A> d;
  for_vectors(d, 0, n, [&](int64_t i, auto part) HWY_ATTR {
    store(load(d, y + i, part) + load(d, x + i, part), y + i, part);
  });
}

template <class A, class T>
constexpr EpilogueTable<A, T> table{&bias_act<A, T>, &act_grad<A, T>, &softmax_loss<A, T>,
                                    &add_row<A, T>};

}  // namespace

const EpilogueTable<double, double>* table_f64() { return &table<double, double>; }
const EpilogueTable<float, float>* table_f32() { return &table<float, float>; }
const EpilogueTable<float, bfloat16>* table_bf16() { return &table<float, bfloat16>; }
void widen_row(const bfloat16* x, int64_t n, float* y) {
  const Tag<float> d;
  for_vectors(d, 0, n,
              [&](int64_t i, auto part) HWY_ATTR { store(load(d, x + i, part), y + i, part); });
}

}  // namespace folio::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace folio {

HWY_EXPORT(table_f64);
HWY_EXPORT(table_f32);
HWY_EXPORT(table_bf16);
HWY_EXPORT(widen_row);

namespace {

// The functions for the best target of this CPU.
template <class A, class T>
const EpilogueTable<A, T>& best() {
  static const EpilogueTable<A, T>& chosen = []() -> const EpilogueTable<A, T>& {
    if constexpr (std::is_same_v<A, double>)
      return *HWY_DYNAMIC_DISPATCH(table_f64)();
    else if constexpr (std::is_same_v<T, float>)
      return *HWY_DYNAMIC_DISPATCH(table_f32)();
    else
      return *HWY_DYNAMIC_DISPATCH(table_bf16)();
  }();
  return chosen;
}

}  // namespace

void widen(const bfloat16* x, int64_t n, float* y) { HWY_DYNAMIC_DISPATCH(widen_row)(x, n, y); }

template <class A, class T>
void bias_act(const A* sum, const A* bias, int64_t n, Unary act, T* pre, T* y) {
  best<A, T>().bias_act(sum, bias, n, act, pre, y);
}
template <class A, class T>
void act_grad(const A* sum, const T* pre, int64_t n, Unary act, T* post, T* dx) {
  best<A, T>().act_grad(sum, pre, n, act, post, dx);
}
template <class A, class T>
A softmax_loss(A* x, int64_t n, int64_t target, A scale, T* dx, A softcap, A* slopes) {
  return best<A, T>().softmax_loss(x, n, target, scale, dx, softcap, slopes);
}
template <class A, class T>
void add_row(const T* x, int64_t n, A* y) {
  best<A, T>().add_row(x, n, y);
}

#define FOLIO_EPILOGUES(A, T)                                         \
  template void bias_act(const A*, const A*, int64_t, Unary, T*, T*); \
  template void act_grad(const A*, const T*, int64_t, Unary, T*, T*); \
  template A softmax_loss(A*, int64_t, int64_t, A, T*, A, A*);        \
  template void add_row(const T*, int64_t, A*);
FOLIO_EPILOGUES(double, double)
FOLIO_EPILOGUES(float, float)
FOLIO_EPILOGUES(float, bfloat16)
#undef FOLIO_EPILOGUES

}  // namespace folio
#endif
