#pragma once
#include "core/backend.h"

namespace folio {

// For EmbeddingOps::embedding, on any device: Error unless there is a first position for each row
// of tokens [B, T], and a row at each of them lies within wpe [P, C], if it is defined. Looks at
// Array::id_range alone.
inline void check_positions(const Array& tokens, const Array& wpe, const Array& positions) {
  const int64_t B = tokens.dim(0), T = tokens.dim(1), P = wpe.defined() ? wpe.dim(0) : 0;
  check(!positions.defined() || positions.size() == B,
        "embedding: {} first positions for {} rows of tokens", positions.size(), B);
  if (B == 0 || !wpe.defined()) return;
  IdRange first{0, 1};
  if (positions.defined()) {
    check(positions.id_range().has_value(),
          "embedding: nobody has looked at what the {} first positions are; make them from the "
          "host's values (to_array)",
          B);
    first = *positions.id_range();
  }
  for (int64_t begin : {first.least, first.below - 1})
    check(begin >= 0 && begin + T <= P,
          "embedding: a row spans positions [{}, {}), but there are only {} (block_size)", begin,
          begin + T, P);
}

}  // namespace folio
