// Matrix units and what packs for them: the portable one everywhere, AMX where it is.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "core/cpu/tiles/packing.h"
#include "tests/core/arrays.h"

namespace folio {
namespace {

using Numbers = std::vector<bfloat16>;

Numbers normal_numbers(int64_t size, unsigned seed) {
  Numbers numbers;
  for (double value : normal_values(size, seed)) numbers.push_back(bfloat16(float(value)));
  return numbers;
}

// A product of row tiles by panels, laid out as tile_unit.h says.
struct TilesTest {
  int row_tiles;
  int64_t depth, blocks;
  int64_t rows = row_tiles * 16, columns = blocks * 32, k = depth * 32;
  Numbers a = Numbers(size_t(rows * k)), b = Numbers(size_t(columns * k));
  std::vector<float> c = std::vector<float>(size_t(rows * columns));

  bfloat16& a_at(int64_t i, int64_t l) {
    return a[size_t(i / 16 * 16 * k + l / 32 * 512 + i % 16 * 32 + l % 32)];
  }
  bfloat16& b_at(int64_t l, int64_t j) {
    return b[size_t(j / 32 * 32 * k + l / 2 * 64 + j % 32 * 2 + l % 2)];
  }
  void fill(auto&& next) {
    for (bfloat16& x : a) x = bfloat16(float(next()));
    for (bfloat16& x : b) x = bfloat16(float(next()));
  }
  std::vector<float> multiply(bool accumulate, int tile_rows = 16) const {
    std::vector<float> result = c;
    const TileUnit& unit = *tile_unit();
    const TileSession session(unit, tile_rows);
    unit.multiply({packed_row_tiles(a.data(), depth), packed_panels(b.data(), 32 * k), depth,
                   blocks, result.data(), columns, row_tiles, accumulate});
    return result;
  }
};

// Runs check() on each unit that is there.
template <class F>
void on_every_unit(F&& check) {
  with_and_without_tiles([&] {
    if (tile_unit()) check();
  });
}

class Tiles : public testing::Test {
 protected:
  void SetUp() override {
    if (!test_device_is_cpu()) GTEST_SKIP() << "of the CPU";
  }
};

// Sums of small integers are exact in any order: each element is where it belongs.
TEST_F(Tiles, MultiplyIntegersExactly) {
  on_every_target([] {
    on_every_unit([] {
      for (const int row_tiles : {1, 2})
        for (const int64_t depth : {1, 3})
          for (const int64_t blocks : {1, 2})
            for (const bool accumulate : {false, true}) {
              TilesTest t{row_tiles, depth, blocks};
              std::mt19937 random(7);
              t.fill([&] { return int(random() % 17) - 8; });
              for (float& x : t.c) x = float(int(random() % 100));
              const auto got = t.multiply(accumulate);
              for (int64_t i = 0; i < t.rows; ++i)
                for (int64_t j = 0; j < t.columns; ++j) {
                  const size_t at = size_t(i * t.columns + j);
                  float want = accumulate ? t.c[at] : 0;
                  for (int64_t l = 0; l < t.k; ++l) want += float(t.a_at(i, l)) * t.b_at(l, j);
                  ASSERT_EQ(got[at], want) << i << ", " << j;
                }
            }
    });
  });
}

// Of fewer rows a tile has no more: what is after them stays as it was.
TEST_F(Tiles, FewRowsLeaveTheOthersAlone) {
  on_every_unit([] {
    TilesTest t{1, 2, 2};
    std::mt19937 random(8);
    t.fill([&] { return int(random() % 17) - 8; });
    std::fill(t.c.begin(), t.c.end(), -1.0f);
    const auto all = t.multiply(false);
    for (const int rows : {1, 5, 15}) {
      const auto some = t.multiply(false, rows);
      for (size_t i = 0; i < all.size(); ++i)
        ASSERT_EQ(some[i], int64_t(i) / t.columns < rows ? all[i] : -1.0f) << rows << " rows";
    }
  });
}

// A step is 16 multiply-adds, two sums and a third with what was there, each rounded to f32.
TEST_F(Tiles, RoundAsF32) {
  on_every_unit([] {
    TilesTest t{2, 40, 1};
    t.a = normal_numbers(int64_t(t.a.size()), 1);
    t.b = normal_numbers(int64_t(t.b.size()), 2);
    const auto got = t.multiply(false);
    for (int64_t i = 0; i < t.rows; ++i)
      for (int64_t j = 0; j < t.columns; ++j) {
        double want = 0, magnitude = 0;
        for (int64_t l = 0; l < t.k; ++l) {
          const double term = double(t.a_at(i, l)) * double(t.b_at(l, j));
          want += term;
          magnitude += std::abs(term);
        }
        ASSERT_NEAR(got[size_t(i * t.columns + j)], want,
                    double(18 + t.depth) * magnitude * std::numeric_limits<float>::epsilon() / 2);
      }
  });
}

// The order of the manual: the even and the odd products apart, each from zero. 2^24 + 1 is not in
// f32, so in one chain each 1 would be lost beside it.
TEST_F(Tiles, SumEvenAndOddProductsApart) {
  on_every_unit([] {
    TilesTest t{1, 1, 1};
    t.a_at(0, 0) = bfloat16(0x1p24f);
    for (int64_t l = 0; l < 32; ++l) t.b_at(l, 0) = bfloat16(1.0f);
    for (int64_t l = 1; l < 32; l += 2) t.a_at(0, l) = bfloat16(1.0f);
    EXPECT_EQ(t.multiply(false)[0], 0x1p24f + 16);
  });
}

TEST_F(Tiles, NumbersBelowTheNormalOnesCountAsZero) {
  on_every_unit([] {
    TilesTest t{1, 1, 1};
    t.a_at(0, 0) = std::bit_cast<bfloat16>(uint16_t(0x0040));  // half the smallest normal number
    t.b_at(0, 0) = bfloat16(0x1p100f);
    t.a_at(1, 0) = bfloat16(0x1p-100f);
    t.b_at(0, 1) = bfloat16(0x1p-100f);
    const auto got = t.multiply(false);
    EXPECT_EQ(got[0], 0.0f);
    EXPECT_EQ(got[size_t(t.columns) + 1], 0.0f);
  });
}

// What is not finite reaches its own row and column alone.
TEST_F(Tiles, NotFiniteNumbersStayInTheirRow) {
  on_every_unit([] {
    TilesTest t{2, 2, 1};
    t.fill([] { return 1; });
    t.a_at(3, 40) = bfloat16(std::numeric_limits<float>::infinity());
    t.a_at(20, 5) = bfloat16(std::numeric_limits<float>::quiet_NaN());
    const auto got = t.multiply(false);
    for (int64_t i = 0; i < t.rows; ++i)
      for (int64_t j = 0; j < t.columns; ++j)
        ASSERT_EQ(std::isfinite(got[size_t(i * t.columns + j)]), i != 3 && i != 20);
  });
}

// Blocks of bytes: integers, then one multiply-add with both scales. Powers of two keep it exact.
TEST_F(Tiles, MultiplyBytesExactly) {
  on_every_target([] {
    on_every_unit([] {
      for (const int64_t blocks : {1, 2, 3, 6}) {
        std::mt19937 random(9);
        std::vector<ActivationBlock> x(size_t(16 * blocks));
        std::vector<ByteRecord> w(static_cast<size_t>(blocks));
        for (ActivationBlock& block : x) {
          for (int8_t& q : block.q) q = int8_t(int(random() % 255) - 127);
          block.scale = random() % 2 ? 1 : 2;
        }
        for (ByteRecord& record : w) {
          for (int8_t& q : record.q) q = int8_t(int(random() % 256) - 128);
          for (float& scale : record.scale) scale = random() % 2 ? 1 : 0.5f;
        }
        std::vector<float> got(16 * 32, -1.0f);
        {
          const TileSession session(*tile_unit(), TileSession::Bytes());
          tile_unit()->multiply_bytes(x.data(), w.data(), blocks, got.data());
        }
        for (int64_t i = 0; i < 16; ++i)
          for (int64_t j = 0; j < 32; ++j) {
            float want = 0;
            for (int64_t b = 0; b < blocks; ++b) {
              const ActivationBlock& block = x[size_t(b * 16 + i)];
              const ByteRecord& record = w[size_t(b)];
              int dot = 0;
              for (int64_t k = 0; k < 32; ++k)
                dot += block.q[k] * record.q[k / 4 * 128 + 4 * j + k % 4];
              want += float(dot) * block.scale * record.scale[j];
            }
            ASSERT_EQ(got[size_t(i * 32 + j)], want) << blocks << " blocks: " << i << ", " << j;
          }
      }
    });
  });
}

// Each layout from each kind of matrix, whole and ragged, with vectors and without.
TEST_F(Tiles, PackingPutsEachNumberWhereItBelongs) {
  for (const bool vectors : {false, true}) {
    use_vector_packing(vectors);
    for (const DType dtype : {DType::bf16, DType::f32})
      for (const bool transposed : {false, true})
        for (const int64_t depth : {1, 31, 32, 33, 64, 70})
          for (const int64_t width : {1, 7, 15, 16, 17, 31, 32}) {
            const int64_t stride = (transposed ? width : depth) + 3,
                          lines = transposed ? depth : width;
            const std::vector<double> values = normal_values(stride * lines, 3);
            const std::vector<float> wide(values.begin(), values.end());
            const Numbers narrow(wide.begin(), wide.end());
            const Operand matrix{
                dtype == DType::f32 ? static_cast<const void*>(wide.data()) : narrow.data(), dtype,
                stride, transposed};
            const auto at = [&](int64_t i, int64_t l) {  // of a [width, depth]
              if (i >= width || l >= depth) return bfloat16().bits;
              return narrow[size_t(transposed ? l * stride + i : i * stride + l)].bits;
            };
            const int64_t deep = (depth + 31) / 32 * 32;
            Numbers packed(size_t(deep * 32), bfloat16(7.0f));
            if (width <= 16) {
              pack_row_tile(matrix, width, depth, packed.data());
              for (int64_t i = 0; i < 16; ++i)
                for (int64_t l = 0; l < deep; ++l)
                  ASSERT_EQ(packed[size_t(l / 32 * 512 + i * 32 + l % 32)].bits, at(i, l))
                      << width << " x " << depth << ": " << i << ", " << l;
            }
            Operand b = matrix;  // the same numbers as a^T
            b.transposed = !transposed;
            pack_panel(b, depth, width, packed.data());
            for (int64_t j = 0; j < 32; ++j)
              for (int64_t l = 0; l < deep; ++l)
                ASSERT_EQ(packed[size_t(l / 2 * 64 + j * 2 + l % 2)].bits, at(j, l))
                    << depth << " x " << width << ": " << l << ", " << j;
          }
  }
  use_vector_packing(true);
}

// The hardware may round in another order than its manual says; no further away than that.
TEST_F(Tiles, HardwareAgreesWithItsManual) {
  if (!has_hardware_tiles()) GTEST_SKIP() << "this processor has no tiles";
  TilesTest t{2, 24, 3};
  t.a = normal_numbers(int64_t(t.a.size()), 4);
  t.b = normal_numbers(int64_t(t.b.size()), 5);
  use_tiles(UseTiles::portable);
  const auto want = t.multiply(false);
  use_tiles(UseTiles::hardware);
  const auto got = t.multiply(false);
  int64_t same = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    ASSERT_NEAR(got[i], want[i], 1e-4);
    same += got[i] == want[i];
  }
  RecordProperty("same_bits", int(same));
}

}  // namespace
}  // namespace folio
