#pragma once
#include <string_view>

#include "core/op_list.h"

namespace folio {

// Functions of two numbers and their derivatives in each, said once as those of one number are in
// core/unary_ops.h. `keeps` says whether the derivatives read a and b, which must then be kept
// until backward.

struct Add {
  static constexpr std::string_view name = "add";
  static constexpr bool keeps = false;
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& a, const F& b) {
    return a + b;
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope_a(const F&, const F&) {
    return F(1);
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope_b(const F&, const F&) {
    return F(1);
  }
};

struct Sub {
  static constexpr std::string_view name = "sub";
  static constexpr bool keeps = false;
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& a, const F& b) {
    return a - b;
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope_a(const F&, const F&) {
    return F(1);
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope_b(const F&, const F&) {
    return F(-1);
  }
};

struct Mul {
  static constexpr std::string_view name = "mul";
  static constexpr bool keeps = true;
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& a, const F& b) {
    return a * b;
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope_a(const F&, const F& b) {
    return b;
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope_b(const F& a, const F&) {
    return a;
  }
};

struct Div {
  static constexpr std::string_view name = "div";
  static constexpr bool keeps = true;
  template <class F>
  [[gnu::always_inline]] static constexpr F value(const F& a, const F& b) {
    return a / b;
  }
  template <class F>
  [[gnu::always_inline]] static constexpr F slope_a(const F&, const F& b) {
    return F(1) / b;
  }
  template <class F>  // -a / b^2
  [[gnu::always_inline]] static constexpr F slope_b(const F& a, const F& b) {
    return (F(0) - a / b) / b;
  }
};

using BinaryOps = std::tuple<Add, Sub, Mul, Div>;

// An op's place in BinaryOps.
enum class Binary : int {};

template <class Op>
constexpr Binary binary() {
  return Binary(place_in<BinaryOps, Op>());
}
template <class Function>
decltype(auto) visit_binary(Binary which, Function&& f) {
  return visit_place<BinaryOps>(int(which), f);
}

}  // namespace folio
