#pragma once
#include "core/cpu/dot_kernels.h"

#if defined(__x86_64__)
namespace folio {

// Those of int8 and int4 in vectors of 8 lanes: by AVX-VNNI's instruction for bytes where
// `by_bytes`, else by AVX2's for pairs of 16 bits. The processor must have them.
void add_avx2_dot_kernels(DotKernels& kernels, bool by_bytes);

}  // namespace folio
#endif
