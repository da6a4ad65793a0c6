#pragma once
#include "core/cpu/dot_kernels.h"

namespace folio {

// Those that this ARM64 processor has instructions for: BFDOT for bf16, and for int8 and int4
// SMMLA, or SDOT where it lacks that. BFDOT rounds its sums to odd and takes numbers below f32's
// normal ones for zeros, so bf16 differs from the portable tiles in the last bits; the others do
// not differ.
DotKernels arm64_dot_kernels();

}  // namespace folio
