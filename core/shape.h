#pragma once
#include <array>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>

#include "core/check.h"

namespace folio {

// The sizes of an array's dimensions, outermost first; at most 6. A scalar has none.
class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  // Size of dimension i; negative i counts from the end, as in Python.
  int64_t operator[](int i) const { return dims_[size_t(index(i))]; }
  int64_t& operator[](int i) { return dims_[size_t(index(i))]; }
  int64_t size() const;  // number of elements
  std::span<const int64_t> dims() const { return {dims_.data(), size_t(rank_)}; }
  // All dimensions but the last folded into one: the rows of a matrix with (*this)[-1] columns.
  int64_t rows() const;

  friend bool operator==(const Shape& a, const Shape& b);

 private:
  int index(int i) const {
    const int at = i < 0 ? i + rank_ : i;
    if (at < 0 || at >= rank_) [[unlikely]]
      fail_dimension(i);
    return at;
  }
  [[noreturn]] void fail_dimension(int i) const;

  std::array<int64_t, max_rank> dims_{};
  int rank_ = 0;
};

// The shape of what is worked out between an `a` and a `b`, aligned at their last dimensions: where
// one has size 1, or no dimension any more, it is repeated (NumPy's rule). Nothing if they do not
// fit.
std::optional<Shape> broadcast(const Shape& a, const Shape& b);

}  // namespace folio

// Prints [64, 256, 384].
template <>
struct fmt::formatter<folio::Shape> : fmt::formatter<std::string_view> {
  fmt::format_context::iterator format(const folio::Shape& shape, format_context& context) const;
};
