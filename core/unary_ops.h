#pragma once
#include <cmath>
#include <cstddef>
#include <string_view>

#include "core/op_list.h"

namespace folio {

// Elementwise functions, said once: the value and its derivative, for any number-like F (float,
// double, a SIMD vector) with + - * / and the functions below. The CPU kernel, the differentiable
// op, the row of the gradient-check table, what a product applies to its result while that is in
// the cache and the model's option all follow from an entry here and in the list at the end.
//
// always_inline and const F&: a functor has no target of its own, so it must dissolve in the caller
// that was compiled for F's SIMD target, and no vector may be passed on the way.

// a where x is positive or NaN, else 0. A vector brings its own, as it does exp, log, sqrt, ...
template <class F>
requires std::is_floating_point_v<F>
constexpr F where_positive(F x, F a) { return x <= 0 ? F(0) : a; }

// s = 1 / (1 + e^-x) and s (1 - s), each to its last digits: the product comes from e^-|x|, since
// 1 - s has few digits left where s is near 1.
template <class F>
struct Logistic {
  F s, slope;
};
template <class F>
[[gnu::always_inline]] constexpr Logistic<F> logistic(const F& x) {
  using std::exp;
  F e = exp(x - where_positive(x, x + x));
  F larger = F(1) / (F(1) + e), smaller = e * larger;  // s and 1 - s; 1 - s and s if x < 0
  return {smaller + where_positive(x, larger - smaller), larger * smaller};
}

// 0.5 x (1 + erf(x / sqrt 2)): nanoGPT's GELU, exact.
struct GeluErf {
  static constexpr std::string_view name = "gelu_erf";
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& x) {
    using std::erf;
    return F(0.5) * x * (F(1) + erf(x * F(0.70710678118654752)));
  }
  template <class F>  // Phi(x) + x phi(x)
  [[gnu::always_inline]] static constexpr F slope(const F& x) {
    using std::erf, std::exp;
    return F(0.5) * (F(1) + erf(x * F(0.70710678118654752))) +
           x * F(0.39894228040143268) * exp(F(-0.5) * x * x);
  }
};

// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): GPT-2's GELU ("gelu_new").
struct GeluTanh {
  static constexpr std::string_view name = "gelu_tanh";
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& x) {
    using std::tanh;
    return F(0.5) * x * (F(1) + tanh(F(0.79788456080286536) * x * (F(1) + F(0.044715) * x * x)));
  }
  template <class F>  // (1 + tanh u) / 2 is s of 2u
  [[gnu::always_inline]] static constexpr F slope(const F& x) {
    auto of = logistic(F(1.5957691216057308) * x * (F(1) + F(0.044715) * x * x));
    return of.s + x * of.slope * F(1.5957691216057308) * (F(1) + F(0.134145) * x * x);
  }
};

// max(x, 0)
struct Relu {
  static constexpr std::string_view name = "relu";
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& x) {
    return where_positive(x, x);
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope(const F& x) {
    return where_positive(x, F(1));
  }
};

// max(x, 0)^2 (So et al., "Primer", 2021)
struct Relu2 {
  static constexpr std::string_view name = "relu2";
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& x) {
    return where_positive(x, x * x);
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope(const F& x) {
    return where_positive(x, F(2) * x);
  }
};

// 1 / (1 + e^-x)
struct Sigmoid {
  static constexpr std::string_view name = "sigmoid";
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& x) {
    using std::exp;
    return F(1) / (F(1) + exp(F(0) - x));
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope(const F& x) {
    return logistic(x).slope;
  }
};

// x sigmoid(x), also called swish (Hendrycks & Gimpel, 2016; Ramachandran et al., 2017)
struct Silu {
  static constexpr std::string_view name = "silu";
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& x) {
    return x * Sigmoid::value(x);
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope(const F& x) {
    auto of = logistic(x);
    return of.s + x * of.slope;
  }
};

struct Tanh {
  static constexpr std::string_view name = "tanh";
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& x) {
    using std::tanh;
    return tanh(x);
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope(const F& x) {
    F t = value(x);
    return F(1) - t * t;
  }
};

struct Exp {
  static constexpr std::string_view name = "exp";
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& x) {
    using std::exp;
    return exp(x);
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope(const F& x) {
    return value(x);
  }
};

struct Log {  // natural
  static constexpr std::string_view name = "log";
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& x) {
    using std::log;
    return log(x);
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope(const F& x) {
    return F(1) / x;
  }
};

struct Square {
  static constexpr std::string_view name = "square";
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& x) {
    return x * x;
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope(const F& x) {
    return F(2) * x;
  }
};

struct Sqrt {
  static constexpr std::string_view name = "sqrt";
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& x) {
    using std::sqrt;
    return sqrt(x);
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope(const F& x) {
    return F(0.5) / value(x);
  }
};

using UnaryOps =
    std::tuple<GeluErf, GeluTanh, Relu, Sigmoid, Silu, Tanh, Exp, Log, Square, Sqrt, Relu2>;

// An op's place in UnaryOps: how a Backend is told which one to run.
enum class Unary : int { none = -1 };

template <class Op>
constexpr Unary unary() {
  return Unary(place_in<UnaryOps, Op>());
}
inline constexpr Unary gelu_erf_op = unary<GeluErf>();
inline constexpr Unary gelu_tanh_op = unary<GeluTanh>();

// Calls f(Op{}) for the op that `which` names. Throws Error for any other, `none` included.
template <class Function>
decltype(auto) visit_unary(Unary which, Function&& f) {
  return visit_place<UnaryOps>(int(which), f);
}

// "gelu_erf": the name of the op that `which` names.
inline std::string_view name_of(Unary which) {
  return visit_unary(which, [](auto op) { return std::string_view(op.name); });
}
// Those that a model may apply between two matrices: of any number they make one.
inline bool is_activation(Unary which) {
  return visit_unary(which, [](auto op) { return !std::isnan(op.value(-1.0)); });
}
// The activation of that name; none if there is none.
inline Unary activation_named(std::string_view name) {
  Unary found = Unary::none;
  for_each_op<UnaryOps>([&](auto op) {
    const Unary which = unary<decltype(op)>();
    if (op.name == name && is_activation(which)) found = which;
  });
  return found;
}

}  // namespace folio
