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
