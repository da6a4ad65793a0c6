#pragma once
// A warp a row, for norms.cu and norms_grad.cu. Both are compiled without contraction into fused
// multiply-adds (CMakeLists.txt), so that a fused kernel has the bits of those that it fuses.
#include <type_traits>

#include "core/cuda/kernels/pack.h"

namespace folio::cuda {

constexpr int norm_warps = 8, norm_threads = norm_warps * 32;

// f(integral_constant<int, n>()): packs where rows are whole ones, else single elements; those
// alone for f64, which is for tests.
template <class X, class F>
void visit_pack(int C, F&& f) {
  constexpr int n = std::is_same_v<X, double> ? 1 : pack_size<X>;
  if (C % n == 0)
    f(std::integral_constant<int, n>());
  else
    f(std::integral_constant<int, 1>());
}

}  // namespace folio::cuda
