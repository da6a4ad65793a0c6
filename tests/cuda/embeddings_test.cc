#include <gtest/gtest.h>

#include "core/backend.h"
#include "tests/cuda/schedules.h"
#include "tests/emulated_backend.h"

namespace folio {
namespace {

struct Case {
  int64_t n, V;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.n << " of " << c.V; }

class CudaEmbeddingGrad : public testing::TestWithParam<Case> {};

// Whole numbers, of which every sum is exact, so an order of ids that is not sorted shows.
TEST_P(CudaEmbeddingGrad, SumsTheRowsOfEachId) {
  const auto [n, V] = GetParam();
  const int64_t C = 3;
  std::vector<int32_t> ids;
  std::vector<float> grad, expected(size_t(V * C), 1);
  uint64_t state = 1;
  for (int64_t i = 0; i < n; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    ids.push_back(int32_t((state >> 33) % uint64_t(V)));
    for (int64_t c = 0; c < C; ++c) {
      grad.push_back(float(int64_t(state >> 40) % 19 - 9 + c));
      expected[size_t(ids.back() * C + c)] += grad.back();
    }
  }
  const Device device = emulated_device();
  on_every_schedule([&] {
    const Array rows = to_array(ids, {n}, device), dy = to_array(grad, {n, C}, device);
    Array dw = full({V, C}, 1, DType::f32, device);
    backend(device)->embeddings.add_rows(dy, rows, dw);
    EXPECT_EQ(to_vector<float>(dw), expected);
  });
}

// One id and many; runs that end at a group's end and go over it; one tile of keys and several.
INSTANTIATE_TEST_SUITE_P(Sizes, CudaEmbeddingGrad,
                         testing::Values(Case{1, 4}, Case{2, 1}, Case{64, 1}, Case{129, 2},
                                         Case{200, 1000},
                                         with_tsan ? Case{300, 7} : Case{5000, 7}));

}  // namespace
}  // namespace folio
