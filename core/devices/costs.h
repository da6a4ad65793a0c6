#pragma once
#include <algorithm>
#include <cstdint>

#include "core/array.h"
#include "core/backend/heads.h"

namespace folio {

// What operations report to the Profiler: the work itself, not what a device does for it besides.

// Of the product of [m, k] and [k, n], multiply-adds counted as two.
inline double product_flops(int64_t m, int64_t n, int64_t k) {
  return 2.0 * double(m) * double(n) * double(k);
}

// Of attention's two products over qkv [B, T, heads.columns()], forward; backward takes twice that.
// Half of the [T, T] scores, as the causal mask leaves out the rest, and of those what the window
// holds.
inline double attention_flops(const Array& qkv, const Heads& heads) {
  const auto T = double(qkv.dim(1));
  const double unseen = heads.window > 0 ? std::max(0.0, T - double(heads.window)) : 0.0;
  return 2 * product_flops(qkv.dim(0), heads.channels(), 1) * (T * T - unseen * unseen) / 2;
}

// Of rows that are read from a table, or added to one: as many as `rows` has, read and written.
inline double moved_bytes(const Array& rows) { return 2.0 * double(rows.bytes()); }

}  // namespace folio
