#pragma once
#include "core/backend.h"

namespace folio {

// Whether an array of the CPU, of any dtype, holds neither NaN nor infinity. Weights come from
// files to the CPU first, and are looked at there.
bool all_finite(const Array& x);
bool all_finite(const PackedWeight& w);  // its scales included

}  // namespace folio
