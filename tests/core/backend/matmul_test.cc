#include "tests/core/arrays.h"

namespace folio {
namespace {

// An element of the product of matrix of_a and matrix of_b in f64, and the sum of its terms' sizes.
struct Element {
  double value = 0, size = 0;
};
Element element(const std::vector<double>& a, const std::vector<double>& b, int64_t i, int64_t j,
                int64_t m, int64_t n, int64_t k, bool flip_a, bool flip_b, int64_t of_a,
                int64_t of_b) {
  Element sum;
  for (int64_t l = 0; l < k; ++l) {
    const double term = a[size_t(of_a * m * k + (flip_a ? l * m + i : i * k + l))] *
                        b[size_t(of_b * k * n + (flip_b ? j * k + l : l * n + j))];
    sum.value += term;
    sum.size += std::abs(term);
  }
  return sum;
}

// Two sums of the same k products in f64, each in any order, differ by at most 2 gamma_k times the
// sum of the products' sizes (Higham, Accuracy and Stability of Numerical Algorithms, 3.1).
double bound_of_f64(int64_t k, double size) {
  const double ku = double(k) * 0x1p-53;
  return 2 * ku / (1 - ku) * size;
}

struct Case {
  int64_t a_batch, b_batch;  // 0: a matrix alone
  int64_t m, n, k;
};
const std::vector<Case> cases = {{0, 0, 1, 1, 1},    {0, 0, 17, 33, 9}, {3, 3, 5, 7, 4},
                                 {12, 12, 20, 6, 8}, {0, 4, 6, 5, 3},   {4, 0, 6, 5, 3},
                                 {9, 0, 30, 5, 70},  {9, 9, 600, 3, 2}, {0, 0, 3, 4, 3000}};

Array operand(int64_t batch, int64_t rows, int64_t cols, bool flip, DType dtype, unsigned seed) {
  if (flip) std::swap(rows, cols);
  Shape shape = batch == 0 ? Shape{rows, cols} : Shape{batch, rows, cols};
  return array_of(normal_values(shape.size(), seed), shape, dtype);
}

TEST(Matmul, MatchesF64) {
  with_and_without_tiles([] {
    for (DType dtype : float_dtypes) {
      for (const Case& c : cases) {
        for (bool flip_a : {false, true}) {
          for (bool flip_b : {false, true}) {
            const Array a = operand(c.a_batch, c.m, c.k, flip_a, dtype, 1);
            const Array b = operand(c.b_batch, c.k, c.n, flip_b, dtype, 2);
            const Array y = backend(a)->products.matmul(a, b, flip_a, flip_b);
            const auto as = values_of(a), bs = values_of(b);
            const int64_t batch = std::max({c.a_batch, c.b_batch, int64_t{1}});
            std::vector<double> expected, bounds;
            for (int64_t one = 0; one < batch; ++one)
              for (int64_t i = 0; i < c.m; ++i)
                for (int64_t j = 0; j < c.n; ++j) {
                  const Element sum = element(as, bs, i, j, c.m, c.n, c.k, flip_a, flip_b,
                                              c.a_batch ? one : 0, c.b_batch ? one : 0);
                  expected.push_back(sum.value);
                  bounds.push_back(bound_of_f64(c.k, sum.size));
                }
            EXPECT_EQ(y.dtype(), dtype);
            if (dtype == DType::f64) {
              const auto values = values_of(y);
              ASSERT_EQ(values.size(), expected.size());
              for (size_t i = 0; i < values.size(); ++i)
                ASSERT_NEAR(values[i], expected[i], bounds[i]) << "element " << i << ", k " << c.k;
            } else {
              // Sums of k terms of size 1 in f32, rounded once.
              const double rounding = 1e-7 * std::sqrt(double(c.k)) * 4;
              expect_near(y, expected, epsilon_of(dtype) + rounding);
            }
          }
        }
      }
    }
  });
}

TEST(Matmul, SameBitsForAnyThreads) {
  with_and_without_tiles([] {
    for (DType dtype : {DType::f32, DType::bf16}) {
      expect_same_for_any_threads([&] {
        std::vector<Array> all;
        for (const Case& c : cases) {
          const Array a = operand(c.a_batch, c.m, c.k, false, dtype, 1);
          const Array b = operand(c.b_batch, c.k, c.n, true, dtype, 2);
          all.push_back(backend(a)->products.matmul(a, b, false, true));
        }
        return all;
      });
    }
  });
}

}  // namespace
}  // namespace folio
