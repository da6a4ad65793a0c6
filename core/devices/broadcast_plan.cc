#include "core/devices/broadcast_plan.h"

namespace folio {
namespace {

// Whether an array of this shape is repeated along y's dimension `i`, counted from the end.
bool repeats(const Shape& shape, int i) { return i > shape.rank() || shape[-i] == 1; }

}  // namespace

BroadcastPlan::BroadcastPlan(const Shape& a, const Shape& b, const Shape& y) {
  for (int i = y.rank(); i >= 1; --i) {
    if (y[-i] == 1) continue;
    // 1 stands for "walks along" until the sizes are known.
    Dim dim{y[-i], repeats(a, i) ? 0 : 1, repeats(b, i) ? 0 : 1};
    bool folds = rank > 0 && dims[size_t(rank - 1)].a == dim.a && dims[size_t(rank - 1)].b == dim.b;
    if (folds)
      dims[size_t(rank - 1)].size *= dim.size;
    else
      dims[size_t(rank++)] = dim;
  }
  if (rank == 0) dims[size_t(rank++)] = {1, 1, 1};
  int64_t a_size = 1, b_size = 1;
  for (int i = rank - 1; i >= 0; --i) {
    Dim& dim = dims[size_t(i)];
    if (dim.a) a_size *= std::exchange(dim.a, a_size) * dim.size;
    if (dim.b) b_size *= std::exchange(dim.b, b_size) * dim.size;
  }
}

int64_t BroadcastPlan::rows() const {
  int64_t product = 1;
  for (int i = 0; i + 1 < rank; ++i) product *= dims[size_t(i)].size;
  return product;
}

BroadcastPlan::Offsets BroadcastPlan::row(int64_t index) const {
  Offsets at;
  for (int i = rank - 2; i >= 0; --i) {
    const Dim& dim = dims[size_t(i)];
    int64_t place = index % dim.size;
    index /= dim.size;
    at.a += place * dim.a;
    at.b += place * dim.b;
  }
  return at;
}

}  // namespace folio
