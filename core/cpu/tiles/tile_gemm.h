#pragma once
#include <memory>

#include "core/cpu/gemm.h"
#include "core/cpu/tiles/tile_unit.h"

namespace folio {

// c (+)= a b on the calling thread alone, as gemm (core/cpu/gemm.h), with a and b rounded to bf16
// while they are packed. For operands that are used once, such as those of a weight's gradient.
void tile_gemm(const TileUnit& unit, int64_t m, int64_t n, int64_t k, const Operand& a,
               const Operand& b, float* c, int64_t ldc, bool accumulate = false);

// The same over all threads; c is dense.
void parallel_tile_gemm(const TileUnit& unit, int64_t m, int64_t n, int64_t k, const Operand& a,
                        const Operand& b, float* c, bool accumulate = false);

// A matrix b [k, n] as a unit reads it, rounded to bf16: packed once for many rows.
struct TilePanels {
  Array data;  // [ceil(n / 32), ceil(k / 32), 16 pairs, 32, 2]
  int64_t k, n;
};
TilePanels pack_panels(const Operand& b, int64_t k, int64_t n, Device device);

// c = a b, c [m, n] dense in f32, over all threads; a [m, k] in rows.
void tile_product(const TileUnit& unit, int64_t m, const Operand& a, const TilePanels& b, float* c);

// finish(context, sums, i, j, columns) for each piece of a row of a b, while it is in the cache:
// row i, columns [j, j + columns). What tile_product makes of its f.
using FinishRow = void (*)(void* context, float* sums, int64_t i, int64_t j, int64_t columns);
void run_tile_product(const TileUnit& unit, int64_t m, const Operand& a, const TilePanels& b,
                      FinishRow finish, void* context);

template <class F>
void tile_product(const TileUnit& unit, int64_t m, const Operand& a, const TilePanels& b, F&& f) {
  run_tile_product(
      unit, m, a, b,
      [](void* context, float* sums, int64_t i, int64_t j, int64_t columns) {
        (*static_cast<std::remove_reference_t<F>*>(context))(sums, i, j, columns);
      },
      const_cast<void*>(static_cast<const void*>(std::addressof(f))));
}

}  // namespace folio
