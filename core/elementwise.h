#pragma once
#include "core/check.h"
#include "core/unary_ops.h"

// Prints the name of the op; apart, for kernels are built without fmt.
template <>
struct fmt::formatter<folio::Unary> : fmt::formatter<std::string_view> {
  auto format(folio::Unary which, format_context& context) const {
    return fmt::formatter<std::string_view>::format(folio::name_of(which), context);
  }
};

namespace folio {

// What a feed-forward layer applies between its two matrices: a function of one number or, gated,
// SwiGLU (Shazeer, "GLU variants improve transformer", 2020), whose first matrix gives two halves,
// of which silu of the first times the second goes on.
struct Activation {
  Unary op = Unary::none;
  bool is_gated = false;

  constexpr Activation(Unary op) : op(op) {}  // NOLINT(google-explicit-constructor)
  static constexpr Activation swiglu() {
    Activation gated = unary<Silu>();
    gated.is_gated = true;
    return gated;
  }
  // That of this name; of Unary::none if there is none.
  static Activation named(std::string_view name) {
    return name == swiglu_name ? swiglu() : Activation(activation_named(name));
  }
  std::string_view name() const { return is_gated ? swiglu_name : name_of(op); }
  bool operator==(const Activation&) const = default;

  static constexpr std::string_view swiglu_name = "swiglu";
};

}  // namespace folio

template <>
struct fmt::formatter<folio::Activation> : fmt::formatter<std::string_view> {
  auto format(const folio::Activation& which, format_context& context) const {
    return fmt::formatter<std::string_view>::format(which.name(), context);
  }
};
