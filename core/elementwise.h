#pragma once
#include <cmath>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>

namespace folio {

// Elementwise functions, said once: the value and its derivative, for any number-like F (float,
// double, a SIMD vector) with + - * and the functions below. The CPU kernel, the fused epilogue,
// the differentiable op and the row of the gradient-check table all follow from an entry here and
// in UnaryOps.
//
// always_inline and const F&: a functor has no target of its own, so it must dissolve in the caller
// that was compiled for F's SIMD target, and no vector may be passed on the way.

// 0.5 x (1 + erf(x / sqrt 2)): nanoGPT's GELU, exact.
struct GeluErf {
  static constexpr std::string_view name = "gelu_erf";
  template <class F>
  [[gnu::always_inline]] static F value(const F& x) {
    using std::erf;
    return F(0.5) * x * (F(1) + erf(x * F(0.70710678118654752)));
  }
  template <class F>  // Phi(x) + x phi(x)
  [[gnu::always_inline]] static F slope(const F& x) {
    using std::erf, std::exp;
    return F(0.5) * (F(1) + erf(x * F(0.70710678118654752))) +
           x * F(0.39894228040143268) * exp(F(-0.5) * x * x);
  }
};

// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): GPT-2's GELU ("gelu_new").
struct GeluTanh {
  static constexpr std::string_view name = "gelu_tanh";
  template <class F>
  [[gnu::always_inline]] static F value(const F& x) {
    using std::tanh;
    return F(0.5) * x * (F(1) + tanh(F(0.79788456080286536) * x * (F(1) + F(0.044715) * x * x)));
  }
  template <class F>
  [[gnu::always_inline]] static F slope(const F& x) {
    using std::tanh;
    F t = tanh(F(0.79788456080286536) * x * (F(1) + F(0.044715) * x * x));
    return F(0.5) * (F(1) + t) +
           F(0.5) * x * (F(1) - t * t) * F(0.79788456080286536) * (F(1) + F(0.134145) * x * x);
  }
};

using UnaryOps = std::tuple<GeluErf, GeluTanh>;

// An op's place in UnaryOps: how a Backend is told which one to run.
enum class Unary : int { none = -1 };

template <class Op, size_t i = 0>
constexpr Unary unary() {
  if constexpr (std::is_same_v<Op, std::tuple_element_t<i, UnaryOps>>) {
    return Unary(int(i));
  } else {
    return unary<Op, i + 1>();
  }
}

inline constexpr Unary gelu_erf_op = unary<GeluErf>();
inline constexpr Unary gelu_tanh_op = unary<GeluTanh>();

// Calls f(Op{}) for the op that `which` names.
template <class Function, size_t i = 0>
decltype(auto) visit_unary(Unary which, Function&& f) {
  if constexpr (i + 1 == std::tuple_size_v<UnaryOps>) {
    return f(std::tuple_element_t<i, UnaryOps>{});
  } else {
    if (int(which) == int(i)) return f(std::tuple_element_t<i, UnaryOps>{});
    return visit_unary<Function, i + 1>(which, std::forward<Function>(f));
  }
}

}  // namespace folio
