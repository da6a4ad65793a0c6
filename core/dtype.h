#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/bfloat16.h"
#include "core/check.h"

namespace folio {

// f64 is for gradient checks, f32 and bf16 for work, i32 for token ids, i8 for what is quantised.
enum class DType : uint8_t { f64, f32, bf16, i32, i8 };

constexpr size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
      return 2;
    case DType::i8:
      return 1;
  }
  return 0;
}

// "float64", "float32", "bfloat16", "int32", "int8": nanoGPT's and PyTorch's names.
constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return "float64";
    case DType::f32:
      return "float32";
    case DType::bf16:
      return "bfloat16";
    case DType::i32:
      return "int32";
    case DType::i8:
      return "int8";
  }
  return "?";
}

// The dtype of that name. Throws Error for any other name, listing the known ones.
DType dtype_named(std::string_view name);

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<bfloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<int8_t> {
  static constexpr DType value = DType::i8;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

}  // namespace folio

template <>
struct fmt::formatter<folio::DType> : fmt::formatter<std::string_view> {
  auto format(folio::DType dtype, format_context& context) const {
    return fmt::formatter<std::string_view>::format(folio::name_of(dtype), context);
  }
};
