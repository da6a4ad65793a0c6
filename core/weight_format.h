#pragma once
#include <cstdint>
#include <string_view>

#include "core/check.h"

namespace folio {

// How a weight matrix is kept for inference. Bits a weight: 32, 16, 8.5 and 4.5; the quantised
// formats keep 32 weights of a row together with one scale. Under bf16 activations are rounded to
// bf16 before they are multiplied, under int8 and int4 to 8 bits in blocks of 32 of their own.
enum class WeightFormat : uint8_t { f32, bf16, int8, int4 };

// "float32", "bfloat16", "int8", "int4".
constexpr std::string_view name_of(WeightFormat format) {
  constexpr std::string_view names[] = {"float32", "bfloat16", "int8", "int4"};
  return names[size_t(format)];
}

// The format of that name. Throws Error for any other name, listing the known ones.
WeightFormat weight_format_named(std::string_view name);

}  // namespace folio

template <>
struct fmt::formatter<folio::WeightFormat> : fmt::formatter<std::string_view> {
  auto format(folio::WeightFormat format, format_context& context) const {
    return fmt::formatter<std::string_view>::format(folio::name_of(format), context);
  }
};
