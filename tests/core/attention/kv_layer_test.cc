// What inference does with a cache beside attending to it: the last row alone, views of some
// sequences, and copies of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/arrays.h"
#include "tests/device.h"

namespace folio {
namespace {

constexpr int64_t H = 2, C = 40;

Array rows_of(int64_t B, int64_t T, uint32_t seed, DType dtype = DType::f32) {
  return array_of(normal_values(B * T * 3 * C, seed), {B, T, 3 * C}, dtype);
}

std::vector<double> attend(const Array& qkv, KvLayer& cache, std::vector<int64_t> positions) {
  return values_of(
      test_backend()->kv_cache.attention(qkv, Heads::alike(C, H), cache, positions_of(positions)));
}

class KvLayerIn : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(All, KvLayerIn, testing::Values(DType::f32, DType::bf16, DType::i8),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST_P(KvLayerIn, AViewContinuesItsOwnSequences) {
  KvLayer cache = test_backend()->kv_cache.make_layer(4, 80, Heads::alike(C, H), GetParam());
  attend(rows_of(4, 70, 3), cache, {0, 0, 0, 0});
  KvLayer middle = cache.rows(1, 3);
  attend(rows_of(2, 5, 4), middle, {70, 2});
  KvLayer apart = test_backend()->kv_cache.make_layer(2, 80, Heads::alike(C, H), GetParam());
  Array both = array_of(values_of(rows_of(4, 70, 3).slice(1, 3)), {2, 70, 3 * C}, DType::f32);
  attend(both, apart, {0, 0});
  attend(rows_of(2, 5, 4), apart, {70, 2});
  Array next = rows_of(2, 1, 5);
  EXPECT_EQ(attend(next, middle, {75, 7}), attend(next, apart, {75, 7}));
}

TEST_P(KvLayerIn, ACopiedSequenceGoesOnAsTheFirst) {
  for (int64_t length : {1, 63, 64, 65, 100}) {
    KvLayer from = test_backend()->kv_cache.make_layer(2, 100, Heads::alike(C, H), GetParam());
    KvLayer to = test_backend()->kv_cache.make_layer(3, 300, Heads::alike(C, H), GetParam());
    attend(rows_of(3, 300, 6), to, {0, 0, 0});  // what the copy must hide
    attend(rows_of(2, length, 7), from, {0, 0});
    test_backend()->kv_cache.copy(from, 1, to, 2, length);
    test_backend()->kv_cache.copy(to, 2, to, 0, length);
    KvLayer alone = test_backend()->kv_cache.make_layer(1, 101, Heads::alike(C, H), GetParam());
    attend(rows_of(2, length, 7).slice(1, 2), alone, {0});
    Array query = rows_of(1, 1, 8);
    std::vector<double> expected = attend(query, alone, {length});
    for (int64_t row : {0, 2}) {
      KvLayer view = to.rows(row, row + 1);
      EXPECT_EQ(attend(query, view, {length}), expected) << length << " into " << row;
    }
  }
}

// H D keys and values a position, and two scales a head under int8. A device may round D up to 32
// elements and the positions to 64, or less.
TEST(KvLayer, BytesCountTheScales) {
  for (auto [kept, element, scale] :
       {std::tuple{DType::f32, 4, 0}, {DType::bf16, 2, 0}, {DType::i8, 1, 4}}) {
    KvLayer layer = test_backend()->kv_cache.make_layer(3, 100, Heads::alike(C, H), kept);
    EXPECT_EQ(layer.bytes(), layer.k.bytes() + layer.v.bytes() + layer.scales.bytes());
    EXPECT_GE(layer.bytes(), size_t(3 * 100 * H * (2 * C / H * element + 2 * scale)));
    EXPECT_LE(layer.bytes(), size_t(3 * 128 * H * (2 * 32 * element + 2 * scale)));
    EXPECT_EQ(layer.scales.size() > 0, kept == DType::i8);
    EXPECT_EQ(3 * layer.rows(1, 2).bytes(), layer.bytes()) << name_of(kept);
  }
}

TEST(KvLayer, CopiesThatCannotBeAreErrors) {
  KvLayer small = test_backend()->kv_cache.make_layer(1, 64, Heads::alike(C, H), DType::f32);
  KvLayer large = test_backend()->kv_cache.make_layer(1, 128, Heads::alike(C, H), DType::f32);
  KvLayer bf16 = test_backend()->kv_cache.make_layer(1, 64, Heads::alike(C, H), DType::bf16);
  KvLayer int8 = test_backend()->kv_cache.make_layer(1, 64, Heads::alike(C, H), DType::i8);
  KvLayer heads = test_backend()->kv_cache.make_layer(1, 64, Heads::alike(C, 4), DType::f32);
  EXPECT_THROW(test_backend()->kv_cache.copy(large, 0, small, 0, 65), Error);
  EXPECT_THROW(test_backend()->kv_cache.copy(large, 1, small, 0, 1), Error);
  EXPECT_THROW(test_backend()->kv_cache.copy(small, 0, bf16, 0, 1), Error);
  EXPECT_THROW(test_backend()->kv_cache.copy(int8, 0, bf16, 0, 1), Error);
  EXPECT_THROW(test_backend()->kv_cache.copy(small, 0, heads, 0, 1), Error);
}

}  // namespace
}  // namespace folio
