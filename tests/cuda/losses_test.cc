#include "core/cuda/losses.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/backend.h"
#include "tests/cuda/schedules.h"
#include "tests/cuda/values.h"
#include "tests/emulated_backend.h"

namespace folio {
namespace {

std::vector<double> values_of(const Array& x) {
  return to_vector<double>(backend(x)->elementwise.cast(x, DType::f64));
}

class CudaLosses : public testing::TestWithParam<int64_t> {
 protected:
  static constexpr int64_t m = 70, C = 6;
  const int64_t V = GetParam();
  const std::vector<double> x = normal<double>(size_t(m * C), 1),
                            w = normal<double>(size_t(V * C), 2);
  std::vector<int32_t> targets() const {
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < m; ++i) ids.push_back(i % 5 == 3 ? -1 : int32_t(i * 31 % V));
    return ids;
  }
  CrossEntropy run(DType dtype, int64_t most, double softcap = 0) const {
    const Device device = emulated_device();
    const Array X = to_array(x, {m, C}, device), W = to_array(w, {V, C}, device);
    const Array ids = to_array(targets(), {m}, device);
    const Array cast_x = backend(X)->elementwise.cast(X, dtype),
                cast_w = backend(W)->elementwise.cast(W, dtype);
    const BackendCall call = backend(device);
    return cuda::linear_cross_entropy(cast_x, cast_w, ids, true, 0.5, most, softcap);
  }
};

// In parts of 32 rows, in every schedule: what the whole gives, but for the order of dw's sums.
TEST_P(CudaLosses, InPartsAreThoseOfTheWhole) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const CrossEntropy whole = run(dtype, 1 << 20);
    const double unit = dtype == DType::f64 ? 1e-15 : 1e-6;
    on_every_schedule([&] {
      const CrossEntropy parts = run(dtype, 1);
      EXPECT_EQ(values_of(parts.loss), values_of(whole.loss));
      EXPECT_EQ(values_of(parts.dx), values_of(whole.dx));
      EXPECT_LE(error_of(values_of(parts.dw), values_of(whole.dw)), unit);
    });
  }
}

TEST_P(CudaLosses, AreTheCpus) {
  const CrossEntropy got = run(DType::f64, 1 << 20);
  const CrossEntropy expected = backend(cpu)->losses.linear_cross_entropy(
      to_array(x, {m, C}, cpu), to_array(w, {V, C}, cpu), to_array(targets(), {m}, cpu), true, 0.5);
  EXPECT_LE(error_of(values_of(got.loss), values_of(expected.loss)), 1e-14);
  EXPECT_LE(error_of(values_of(got.dx), values_of(expected.dx)), 1e-14);
  EXPECT_LE(error_of(values_of(got.dw), values_of(expected.dw)), 1e-14);
}

// Against loops; products are a few times the softcap.
TEST_P(CudaLosses, OfASoftcap) {
  const double c = 1.5, factor = 0.5;
  const std::vector<int32_t> ids = targets();
  double count = 0, loss = 0;
  for (const int32_t id : ids) count += id >= 0;
  std::vector<double> dx(size_t(m * C)), dw(size_t(V * C));
  for (int64_t i = 0; i < m; ++i) {
    const int32_t id = ids[size_t(i)];
    if (id < 0) continue;
    std::vector<double> logits(static_cast<size_t>(V));
    double sum = 0;
    for (int64_t v = 0; v < V; ++v) {
      double product = 0;
      for (int64_t k = 0; k < C; ++k) product += x[size_t(i * C + k)] * w[size_t(v * C + k)];
      logits[size_t(v)] = c * std::tanh(product / c);
      sum += std::exp(logits[size_t(v)]);
    }
    loss += factor * (std::log(sum) - logits[size_t(id)]) / count;
    for (int64_t v = 0; v < V; ++v) {
      const double t = logits[size_t(v)] / c;
      const double g =
          factor / count * (std::exp(logits[size_t(v)]) / sum - (v == id)) * (1 - t * t);
      for (int64_t k = 0; k < C; ++k) {
        dx[size_t(i * C + k)] += g * w[size_t(v * C + k)];
        dw[size_t(v * C + k)] += g * x[size_t(i * C + k)];
      }
    }
  }
  for (auto [dtype, unit] : {std::pair{DType::f64, 1e-14}, {DType::f32, 2e-6}}) {
    on_every_schedule([&, dtype = dtype, unit = unit] {
      const CrossEntropy got = run(dtype, 1 << 20, c);
      EXPECT_LE(error_of(values_of(got.loss), {loss}), unit);
      EXPECT_LE(error_of(values_of(got.dx), dx), unit);
      EXPECT_LE(error_of(values_of(got.dw), dw), unit);
    });
  }
}

// A warp a row, and a block a row; with and without numbers past the last 16 bytes.
INSTANTIATE_TEST_SUITE_P(Vocabularies, CudaLosses, testing::Values(1, 65, 128, 1031, 4099));

}  // namespace
}  // namespace folio
