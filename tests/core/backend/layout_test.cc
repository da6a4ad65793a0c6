#include "tests/core/arrays.h"

namespace folio {
namespace {

std::vector<int64_t> places(int64_t at, const Shape& shape) {
  std::vector<int64_t> place(size_t(shape.rank()));
  for (int i = shape.rank() - 1; i >= 0; --i) {
    place[size_t(i)] = at % shape[i];
    at /= shape[i];
  }
  return place;
}

int64_t offset(const std::vector<int64_t>& place, const Shape& shape) {
  int64_t at = 0;
  for (int i = 0; i < shape.rank(); ++i) at = at * shape[i] + place[size_t(i)];
  return at;
}

TEST(Transpose, ExchangesAnyTwoDimensions) {
  for (const Shape& shape : {Shape{1}, Shape{3, 5}, Shape{100, 70}, Shape{2, 3, 4, 5},
                             Shape{3, 1, 40, 17}, Shape{2, 2, 3, 2, 3, 2}}) {
    for (DType from : float_dtypes) {
      const Array x = array_of(normal_values(shape.size(), 1), shape, from);
      const auto values = values_of(x);
      for (int i = 0; i < shape.rank(); ++i) {
        for (int j = 0; j < shape.rank(); ++j) {
          Shape flipped = shape;
          std::swap(flipped[i], flipped[j]);
          std::vector<double> expected(values.size());
          for (int64_t at = 0; at < shape.size(); ++at) {
            auto place = places(at, shape);
            std::swap(place[size_t(i)], place[size_t(j)]);
            expected[size_t(offset(place, flipped))] = values[size_t(at)];
          }
          for (DType to : float_dtypes) {
            const Array y = backend(x)->layout.transpose(x, i, j, to);
            EXPECT_EQ(y.shape(), flipped);
            EXPECT_EQ(bytes_of(y), bytes_of(array_of(expected, flipped, to)));
            EXPECT_FALSE(y.shares_storage_with(x));
          }
        }
      }
    }
  }
}

TEST(CopyBlock, CopiesARangeOfAnAxis) {
  for (DType dtype : float_dtypes) {
    const Array from = array_of(normal_values(2 * 5 * 3, 1), {2, 5, 3}, dtype);
    Array to = zeros({2, 4, 3}, dtype);
    backend(to)->layout.copy_block(from, 2, to, 1, 3, 1);
    const auto source = values_of(from);
    std::vector<double> expected(24, 0);
    for (size_t o = 0; o < 2; ++o)
      std::copy_n(source.begin() + int64_t(o * 15 + 6), 9, expected.begin() + int64_t(o * 12 + 3));
    EXPECT_EQ(values_of(to), expected);
  }
}

TEST(TakeRows, TakesThoseThatTheIdsName) {
  for (DType dtype : float_dtypes) {
    const Array table = array_of({0, 1, 10, 11, 20, 21}, {3, 2}, dtype);
    const Array ids = to_array(std::vector<int32_t>{2, 0, 2}, {3});
    EXPECT_EQ(values_of(backend(table)->layout.take_rows(table, ids)),
              (std::vector<double>{20, 21, 0, 1, 20, 21}));
  }
}

TEST(Pick, TakesOneOfARowAndNothingForMinusOne) {
  for (DType dtype : float_dtypes) {
    const Array x = array_of({0, 1, 2, 10, 11, 12, 20, 21, 22}, {3, 3}, dtype);
    const Array ids = to_array(std::vector<int32_t>{2, -1, 0}, {3});
    EXPECT_EQ(values_of(backend(x)->layout.pick(x, ids)), (std::vector<double>{2, 0, 20}));
    const Array dy = array_of({5, 6, 7}, {3}, dtype);
    EXPECT_EQ(values_of(backend(x)->layout.pick_grad(dy, ids, {3, 3})),
              (std::vector<double>{0, 0, 5, 0, 0, 0, 7, 0, 0}));
  }
}

}  // namespace
}  // namespace folio
