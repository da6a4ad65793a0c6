#pragma once
#include <array>
#include <cstdint>

#include "core/shape.h"

namespace folio {

// How to walk y and two arrays that are broadcast to it: neighbouring dimensions along which both
// behave alike are one, so that equal shapes are a single row however many dimensions they have.
struct BroadcastPlan {
  struct Dim {
    int64_t size = 1;
    int64_t a = 0, b = 0;  // elements from one place to the next; 0 where the array is repeated
  };
  std::array<Dim, Shape::max_rank> dims;
  int rank = 0;  // at least 1

  BroadcastPlan(const Shape& a, const Shape& b, const Shape& y);

  const Dim& inner() const { return dims[size_t(rank - 1)]; }
  int64_t rows() const;  // runs of inner().size elements of y
  struct Offsets {
    int64_t a = 0, b = 0;
  };
  Offsets row(int64_t index) const;  // where the row of that number begins in a and in b
};

}  // namespace folio
