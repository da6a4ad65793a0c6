#include "core/shape.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace folio {

Shape::Shape(std::span<const int64_t> dims) : rank_(int(dims.size())) {
  check(dims.size() <= max_rank, "a shape has at most {} dimensions, got {}", max_rank,
        dims.size());
  for (int64_t dim : dims) check(dim >= 0, "a dimension cannot be negative, got {}", dim);
  std::copy(dims.begin(), dims.end(), dims_.begin());
}

void Shape::fail_dimension(int i) const {
  fail("dimension {} of shape {}, which has {}", i, *this, rank_);
}

int64_t Shape::size() const {
  int64_t product = 1;
  for (int64_t dim : dims()) {
    check(!__builtin_mul_overflow(product, dim, &product), "shape {} is too large", *this);
  }
  return product;
}

int64_t Shape::rows() const {
  int64_t product = 1;
  for (int i = 0; i + 1 < rank_; ++i)
    check(!__builtin_mul_overflow(product, dims_[size_t(i)], &product), "shape {} is too large",
          *this);
  return product;
}

bool operator==(const Shape& a, const Shape& b) { return std::ranges::equal(a.dims(), b.dims()); }

std::optional<Shape> broadcast(const Shape& a, const Shape& b) {
  Shape y = a.rank() >= b.rank() ? a : b;
  for (int i = 1; i <= std::min(a.rank(), b.rank()); ++i) {
    if (a[-i] != b[-i] && a[-i] != 1 && b[-i] != 1) return std::nullopt;
    y[-i] = a[-i] == 1 ? b[-i] : a[-i];
  }
  return y;
}

}  // namespace folio

fmt::format_context::iterator fmt::formatter<folio::Shape>::format(const folio::Shape& shape,
                                                                   format_context& context) const {
  return fmt::format_to(context.out(), "[{}]", fmt::join(shape.dims(), ", "));
}
