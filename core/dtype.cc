#include "core/dtype.h"

namespace folio {

DType dtype_named(std::string_view name) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16, DType::i32, DType::i8}) {
    if (name_of(dtype) == name) return dtype;
  }
  fail("unknown dtype \"{}\"; expected float64, float32, bfloat16, int32 or int8", name);
}

}  // namespace folio
