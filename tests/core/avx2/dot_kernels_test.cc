#include "core/cpu/avx2/dot_kernels.h"

#if defined(__x86_64__)
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "core/bfloat16.h"
#include "core/cpu/machine/capability.h"

namespace folio {
namespace {

// u - 128 of a record, as packed_blocks.h says that it lies.
int weight_of(const uint8_t* record, WeightFormat format, int64_t row, int64_t k) {
  if (format == WeightFormat::int8) return record[(k / 4 * block_size + row) * 4 + k % 4] - 128;
  const uint8_t two = record[(k / 8 * block_size + row) * 4 + k % 4];
  return int4_values[k % 8 < 4 ? two & 15 : two >> 4];
}

float scale_of(const uint8_t* record, WeightFormat format, int64_t row) {
  bfloat16 scale;
  std::memcpy(&scale, record + weight_bytes(format) + 2 * row, sizeof scale);
  return float(scale);
}

class Avx2DotKernels : public testing::TestWithParam<bool> {
 protected:
  std::vector<uint8_t> panel_of(WeightFormat format, int64_t blocks) {
    std::vector<uint8_t> panel(size_t(blocks * record_bytes(format)));
    for (uint8_t& byte : panel) byte = uint8_t(random_());
    for (int64_t b = 0; b < blocks; ++b) {
      for (int64_t row = 0; row < block_size; ++row) {
        const bfloat16 scale(
            std::ldexp(1 + float(random_() % 100) / 100, int(random_() % 20) - 10));
        std::memcpy(&panel[size_t(b * record_bytes(format) + weight_bytes(format) + 2 * row)],
                    &scale, sizeof scale);
      }
    }
    return panel;
  }

  // `extreme`: the largest numbers, of one sign, whose sums are the furthest from zero.
  std::vector<ActivationBlock> rows_of(int64_t count, bool extreme) {
    std::vector<ActivationBlock> x(static_cast<size_t>(count));
    for (ActivationBlock& block : x) {
      for (int8_t& q : block.q) q = extreme ? int8_t(127) : int8_t(int(random_() % 255) - 127);
      block.scale = float(random_() % 1000 + 1) / 7;
      block.offset = -128 * std::accumulate(std::begin(block.q), std::end(block.q), 0);
    }
    return x;
  }

  std::mt19937 random_{1};
};

// Against whole numbers, and one multiply-add a block: every number of rows, any byte.
TEST_P(Avx2DotKernels, AreExactSumsTimesTheScales) {
  const bool by_bytes = GetParam();
  if (by_bytes ? !may_use_avx_vnni() : !may_use_avx2())
    GTEST_SKIP() << "this processor has no such instructions";
  DotKernels kernels;
  add_avx2_dot_kernels(kernels, by_bytes);
  for (const WeightFormat format : {WeightFormat::int8, WeightFormat::int4}) {
    const auto* tiles = format == WeightFormat::int8 ? kernels.int8 : kernels.int4;
    for (const int64_t blocks : {1, 2, 5}) {
      for (int rows = 1; rows <= DotKernels::max_rows; ++rows) {
        std::vector<uint8_t> panel = panel_of(format, blocks);
        const std::vector<ActivationBlock> x = rows_of(blocks * rows, rows % 3 == 0);
        if (rows % 3 == 0) std::memset(panel.data(), 255, size_t(weight_bytes(format)));
        if (rows % 4 == 0) std::memset(panel.data(), 0, size_t(weight_bytes(format)));
        alignas(64) float tile[DotKernels::max_rows * block_size];
        tiles[rows - 1](x.data(), panel.data(), blocks, tile);
        for (int r = 0; r < rows; ++r) {
          for (int64_t row = 0; row < block_size; ++row) {
            float sum = 0;
            for (int64_t b = 0; b < blocks; ++b) {
              const uint8_t* record = &panel[size_t(b * record_bytes(format))];
              const ActivationBlock& block = x[size_t(b * rows + r)];
              int dot = 0;
              for (int64_t k = 0; k < block_size; ++k)
                dot += block.q[k] * weight_of(record, format, row, k);
              sum = std::fma(float(dot), scale_of(record, format, row) * block.scale, sum);
            }
            ASSERT_EQ(tile[r * block_size + row], sum)
                << (format == WeightFormat::int8 ? "int8, " : "int4, ") << blocks << " blocks, row "
                << r << " of " << rows << " with " << row;
          }
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Instructions, Avx2DotKernels, testing::Bool(),
                         [](const auto& by_bytes) { return by_bytes.param ? "bytes" : "pairs"; });

}  // namespace
}  // namespace folio
#endif
