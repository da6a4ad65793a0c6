#include "core/cpu/dot_kernels.h"

#include <gtest/gtest.h>

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "core/bfloat16.h"
#include "core/cpu/packed_tile.h"

namespace folio {
namespace {

struct Has {
  bool bf16 = false, bytes = false;
};

// As the kernel tells it, or on x86 the compiler's library.
Has processor_has() {
#if defined(__aarch64__)
  return {(getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0, (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0};
#elif defined(__x86_64__)
  return {bool(__builtin_cpu_supports("avx512bf16")), bool(__builtin_cpu_supports("avx2"))};
#else
  return {};
#endif
}

// No instruction that a processor lacks is run, and none that it has is left out.
TEST(DotKernelsSimd, AreThoseThatTheProcessorHas) {
  const Has has = processor_has();
  EXPECT_EQ(dot_kernels().bf16 != nullptr, has.bf16);
  EXPECT_EQ(dot_kernels().int8 != nullptr, has.bytes);
  EXPECT_EQ(dot_kernels().int4 != nullptr, has.bytes);
  use_dot_kernels(false);
  EXPECT_EQ(dot_kernels().bf16, nullptr);
  EXPECT_EQ(dot_kernels().int8, nullptr);
  use_dot_kernels(true);
}

// Every kernel of every number of rows, with the numbers of k at which its loops begin and end:
// small integers, whose sums f32 holds exactly, in whatever order.
TEST(DotKernelsSimd, SumPairsOfBf16) {
  if (!dot_kernels().bf16) GTEST_SKIP() << "this processor has no dot products of bf16";
  constexpr int64_t panel = 2 * DotKernels::lanes;
  std::mt19937 random(1);
  const auto number = [&] { return int(random() % 17) - 8; };
  const auto bits = [](int value) { return uint32_t(bfloat16(float(value)).bits); };
  for (const int64_t pairs : {1, 3, 4, 5, 255, 256, 257, 515}) {
    const int64_t blocks = (pairs + block_k - 1) / block_k;
    for (int rows = 1; rows <= DotKernels::max_rows; ++rows) {
      std::vector<uint32_t> x(size_t(blocks * rows * stride_k));
      const auto storage = std::make_unique<uint32_t[]>(size_t(pairs * panel) + 16);
      auto* w = reinterpret_cast<uint32_t*>((reinterpret_cast<uintptr_t>(storage.get()) + 63) / 64 *
                                            64);  // as panels are
      alignas(64) float tile[DotKernels::max_rows * panel];
      std::vector<int> expected(size_t(rows * panel));
      for (int64_t k = 0; k < pairs; ++k) {
        std::vector<std::pair<int, int>> of_x, of_w;
        for (int r = 0; r < rows; ++r) {
          of_x.emplace_back(number(), number());
          x[size_t((k / block_k * rows + r) * stride_k + k % block_k)] =
              bits(of_x.back().first) | bits(of_x.back().second) << 16;
        }
        for (int64_t j = 0; j < panel; ++j) {
          of_w.emplace_back(number(), number());
          w[k * panel + j] = bits(of_w.back().first) | bits(of_w.back().second) << 16;
        }
        for (int r = 0; r < rows; ++r)
          for (int64_t j = 0; j < panel; ++j)
            expected[size_t(r * panel + j)] += of_x[size_t(r)].first * of_w[size_t(j)].first +
                                               of_x[size_t(r)].second * of_w[size_t(j)].second;
      }
      dot_kernels().bf16[rows - 1](x.data(), w, pairs, tile);
      for (size_t i = 0; i < expected.size(); ++i)
        ASSERT_EQ(tile[i], float(expected[i])) << pairs << " pairs, " << rows << " rows, at " << i;
    }
  }
}

}  // namespace
}  // namespace folio
