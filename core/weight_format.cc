#include "core/weight_format.h"

namespace folio {

WeightFormat weight_format_named(std::string_view name) {
  for (WeightFormat format :
       {WeightFormat::f32, WeightFormat::bf16, WeightFormat::int8, WeightFormat::int4}) {
    if (name_of(format) == name) return format;
  }
  fail("unknown weight format \"{}\"; expected float32, bfloat16, int8 or int4", name);
}

}  // namespace folio
