#include "core/cuda/attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/core/attention/attention_reference.h"
#include "tests/cuda/device_buffer.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"

namespace folio {
namespace {

Dropout dropout_of(double p) { return Dropout::with(p, RandomStream{0x1234567890abcdefu, 77}); }

template <class E, class F>
struct Results {
  std::vector<E> y, dqkv;
  std::vector<F> lse;
};

// Attention and its gradient on the emulator.
template <class E, class F>
Results<E, F> run(const Sizes& s, const std::vector<E>& qkv, const std::vector<E>& dy,
                  const Dropout& dropout) {
  const cuda::AttentionSizes sizes{int(s.B), int(s.T), int(s.H), int(s.D)};
  const size_t rows = size_t(s.B * s.T * s.C()), queries = size_t(s.B * s.H * s.T);
  DeviceBuffer<E> device_qkv(qkv), device_dy(dy), y(rows), dqkv(3 * rows);
  DeviceBuffer<F> lse(queries), delta(queries);
  cuda::attention(device_qkv.data(), y.data(), lse.data(), sizes, dropout, test_stream());
  cuda::attention_grad(device_dy.data(), device_qkv.data(), y.data(), lse.data(), delta.data(),
                       dqkv.data(), sizes, dropout, test_stream());
  return {y.read(), dqkv.read(), lse.read()};
}

// Against loops over the whole matrix, in f64; the same bytes in every schedule.
template <class E, class F>
void expect_matches(const Sizes& s, double p, double tolerance, double grad_tolerance) {
  SCOPED_TRACE(fmt::format("B {}, T {}, H {}, D {}, dropout {}", s.B, s.T, s.H, s.D, p));
  const std::vector<E> qkv = normal<E>(size_t(s.B * s.T * 3 * s.C()), 1);
  const std::vector<E> dy = normal<E>(size_t(s.B * s.T * s.C()), 2);
  const AttentionReference expected =
      attention_reference(s, doubles(qkv), doubles(dy), dropout_of(p));
  Results<E, F> first;
  on_every_schedule([&] {
    Results<E, F> got = run<E, F>(s, qkv, dy, dropout_of(p));
    if (first.y.empty()) {
      EXPECT_LE(error_of(got.y, expected.y), tolerance);
      EXPECT_LE(error_of(got.lse, expected.lse), sizeof(F) == 8 ? 1e-12 : 4e-6);
      EXPECT_LE(error_of(got.dqkv, expected.dqkv), grad_tolerance);
      first = std::move(got);
      return;
    }
    EXPECT_EQ(std::memcmp(got.y.data(), first.y.data(), got.y.size() * sizeof(E)), 0);
    EXPECT_EQ(std::memcmp(got.lse.data(), first.lse.data(), got.lse.size() * sizeof(F)), 0);
    EXPECT_EQ(std::memcmp(got.dqkv.data(), first.dqkv.data(), got.dqkv.size() * sizeof(E)), 0);
  });
}

// (T, D): every way that a length can miss a tile, and a width one of the kernels' own.
class CudaAttention : public testing::TestWithParam<std::tuple<int64_t, int64_t>> {};
INSTANTIATE_TEST_SUITE_P(Shapes, CudaAttention,
                         testing::Values(std::tuple{1, 16}, std::tuple{63, 24}, std::tuple{64, 64},
                                         std::tuple{65, 32}, std::tuple{100, 96},
                                         std::tuple{130, 40}, std::tuple{72, 128},
                                         std::tuple{33, 20}),
                         [](const auto& info) {
                           return fmt::format("T{}_D{}", std::get<0>(info.param),
                                              std::get<1>(info.param));
                         });

TEST_P(CudaAttention, MatchesTheWholeMatrix) {
  const auto [T, D] = GetParam();
  if (with_tsan && T * D > 65 * 32) GTEST_SKIP() << "takes ThreadSanitizer too long";
  const Sizes s{T < 64 && !with_tsan ? 2 : 1, T, with_tsan ? 1 : 2, D};
  for (double p : {0.0, 0.3}) {
    if (with_tsan && p == 0) continue;
    expect_matches<bfloat16, float>(s, p, 8e-3, 3e-2);
    expect_matches<float, float>(s, p, 4e-6, 2e-5);
  }
  if (T < 70) expect_matches<double, double>(s, 0.3, 1e-12, 1e-12);
}

// Where 32 rows of a head do not fit into shared memory.
TEST(CudaAttentionOf, WideHeadsUseSmallerTiles) {
  if (with_tsan) GTEST_SKIP() << "takes ThreadSanitizer too long";
  expect_matches<float, float>({1, 9, 1, 272}, 0.3, 4e-6, 2e-5);
  expect_matches<bfloat16, float>({1, 9, 1, 272}, 0.0, 8e-3, 3e-2);
}

// A query's softmax is right however large the scores are, and a NaN stays in its row and those
// that see it.
TEST(CudaAttentionOf, LargeScoresAndNaN) {
  const Sizes s{1, 70, 1, 32};
  std::vector<bfloat16> qkv = normal<bfloat16>(size_t(s.T * 3 * s.C()), 3);
  for (bfloat16& value : qkv) value = bfloat16(float(value) * 30);
  const std::vector<bfloat16> dy = normal<bfloat16>(size_t(s.T * s.C()), 4);
  for (const bfloat16& value : run<bfloat16, float>(s, qkv, dy, {}).y)
    EXPECT_TRUE(std::isfinite(float(value)));
  qkv[size_t(65 * 3 * s.C())] = bfloat16(std::nanf(""));  // of the query at position 65
  const std::vector<bfloat16> y = run<bfloat16, float>(s, qkv, dy, {}).y;
  for (int64_t t = 0; t < s.T; ++t)
    EXPECT_EQ(std::isnan(float(y[size_t(t * s.C())])), t == 65) << t;
}

// On a GPU; the emulator has no cuDNN.
TEST(CudaAttentionOf, CudnnIsAskedForBf16WithoutDropout) {
  const Dropout none, some = dropout_of(0.1);
  EXPECT_TRUE(cuda::is_for_cudnn(DType::bf16, {2, 64, 3, 64}, none, 80));
  EXPECT_TRUE(cuda::is_for_cudnn(DType::bf16, {2, 64, 3, 128}, none, 90));
  EXPECT_TRUE(cuda::is_for_cudnn(DType::bf16, {2, 64, 3, 8}, none, 100));
  EXPECT_FALSE(cuda::is_for_cudnn(DType::f32, {2, 64, 3, 64}, none, 90));
  EXPECT_FALSE(cuda::is_for_cudnn(DType::bf16, {2, 64, 3, 64}, some, 90));
  EXPECT_FALSE(cuda::is_for_cudnn(DType::bf16, {2, 64, 3, 136}, none, 90));
  EXPECT_FALSE(cuda::is_for_cudnn(DType::bf16, {2, 64, 3, 60}, none, 90));
  EXPECT_FALSE(cuda::is_for_cudnn(DType::bf16, {2, 64, 3, 64}, none, 75));
}

}  // namespace
}  // namespace folio
