// Products through cuBLASLt's stand-in, which refuses what the library would.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/backend.h"
#include "core/cuda/matmul_plan.h"
#include "tests/cuda/values.h"
#include "tests/emulated_backend.h"

namespace folio {
namespace {

using cuda::Matrix;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

// Matrices of small whole numbers in rows of `ld`, NaN between them.
struct Numbers {
  int64_t rows, cols, ld, batch;
  bool transposed;
  std::vector<float> values;

  Numbers(int64_t rows_, int64_t cols_, int64_t ld_, int64_t batch_, bool transposed_)
      : rows(rows_), cols(cols_), ld(ld_), batch(batch_), transposed(transposed_) {
    for (int64_t i = 0; i < batch * rows * ld; ++i)
      values.push_back(i % ld < cols ? float(i * 7 % 11 - 5) : std::nanf(""));
  }
  double at(int64_t b, int64_t i, int64_t j) const {
    return double(values[size_t(transposed ? (b * rows + j) * ld + i : (b * rows + i) * ld + j)]);
  }
};

Array on_device(const Numbers& numbers, DType dtype) {
  const Array x = to_array(numbers.values, {int64_t(numbers.values.size())}, emulated_device());
  return dtype == DType::f32 ? x : backend(x)->elementwise.cast(x, dtype);
}

Matrix matrix(const Numbers& of, const Array& x) {
  return {x.address(), x.dtype(), of.rows, of.cols, of.transposed, of.rows * of.ld, of.ld};
}

class CudaMatmul : public testing::TestWithParam<std::tuple<bool, bool, DType, DType>> {};

TEST_P(CudaMatmul, IsTheProduct) {
  const auto [transpose_a, transpose_b, dtype, c_dtype] = GetParam();
  const int64_t M = 3, N = 5, K = 4, batch = 2;
  const Numbers a(transpose_a ? K : M, transpose_a ? M : K, 6, batch, transpose_a);
  const Numbers b(transpose_b ? N : K, transpose_b ? K : N, 7, batch, transpose_b);
  const Numbers c(M, N, 8, batch, false);
  const Array x = on_device(a, dtype), y = on_device(b, dtype), z = on_device(c, c_dtype);
  {
    const BackendCall call = backend(z);
    cuda::matmul(matrix(a, x), matrix(b, y), matrix(c, z), batch, true);
  }
  const auto got = to_vector<double>(backend(z)->elementwise.cast(z, DType::f64));
  for (int64_t i = 0; i < batch * M; ++i) {
    for (int64_t j = 0; j < N; ++j) {
      double sum = c.at(0, i, j);
      for (int64_t k = 0; k < K; ++k) sum += a.at(i / M, i % M, k) * b.at(i / M, k, j);
      EXPECT_EQ(got[size_t(i * c.ld + j)], sum) << i << ", " << j;
    }
    for (int64_t j = N; j < c.ld; ++j)
      EXPECT_TRUE(std::isnan(got[size_t(i * c.ld + j)])) << "written between rows";
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, CudaMatmul,
                         testing::Combine(testing::Bool(), testing::Bool(),
                                          testing::Values(DType::bf16),
                                          testing::Values(DType::bf16, DType::f32)));
INSTANTIATE_TEST_SUITE_P(Wide, CudaMatmul,
                         testing::Combine(testing::Bool(), testing::Bool(),
                                          testing::Values(DType::f32),
                                          testing::Values(DType::f32)));
INSTANTIATE_TEST_SUITE_P(Wider, CudaMatmul,
                         testing::Combine(testing::Bool(), testing::Bool(),
                                          testing::Values(DType::f64),
                                          testing::Values(DType::f64)));

// What a mistaken description of a matrix would make cuBLASLt read or write.
TEST(CudaMatmulFaults, AreRefusedAndNamed) {
  const Device device = emulated_device();
  const Array a = zeros({16, 8}, DType::f32, device), b = zeros({8, 32}, DType::f32, device),
              c = zeros({16, 32}, DType::f32, device);
  const BackendCall call = backend(device);
  const Matrix x{a.address(), DType::f32, 16, 8}, y{b.address(), DType::f32, 8, 32},
      z{c.address(), DType::f32, 16, 32};
  EXPECT_NO_THROW(cuda::matmul(x, y, z));
  auto expect_refusal = [](const Matrix& p, const Matrix& q, const Matrix& r, int64_t batch = 1) {
    EXPECT_THAT(
        [&] { cuda::matmul(p, q, r, batch); },
        ThrowsMessage<Error>(AllOf(HasSubstr("float32 [16, 8]"), HasSubstr("CUBLAS_STATUS_"))));
  };
  Matrix swapped = y;
  swapped.ld = 8;  // that of its transpose
  expect_refusal(x, swapped, z);
  swapped = z;
  swapped.ld = 16;
  expect_refusal(x, y, swapped);
  Matrix other = y;
  other.transposed = true;  // K is 32 here
  expect_refusal(x, other, z);
  other = y;
  other.dtype = DType::bf16;
  expect_refusal(x, other, z);
  other = z;
  other.dtype = DType::bf16;
  expect_refusal(x, y, other);
  other = z;
  other.step = 8;  // results that overlap
  expect_refusal(x, y, other, 2);
  std::vector<float> on_the_host(16 * 32);
  other = z;
  other.data = on_the_host.data();
  expect_refusal(x, y, other);
}

}  // namespace
}  // namespace folio
