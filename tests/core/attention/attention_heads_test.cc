// Attention whose heads share keys and values, and whose positions see a window of those before.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/core/attention/attention_reference.h"
#include "tests/device.h"

namespace folio {
namespace {

Dropout dropout_of(double p) { return Dropout::with(p, RandomStream{0x1234567890abcdefu, 77}); }

// (kv_heads of 4, window, D)
class AttentionHeads : public testing::TestWithParam<std::tuple<int64_t, int64_t, int64_t>> {
 protected:
  Sizes sizes(int64_t T) const {
    auto [kv_heads, window, D] = GetParam();
    return {2, T, 4, D, kv_heads, window};
  }
};
INSTANTIATE_TEST_SUITE_P(All, AttentionHeads,
                         testing::Combine(testing::Values(2, 4),
                                          testing::Values(0, 1, 8, 63, 65, 129),
                                          testing::Values(20)),
                         [](const auto& info) {
                           return fmt::format("kv{}_W{}_D{}", std::get<0>(info.param),
                                              std::get<1>(info.param), std::get<2>(info.param));
                         });

TEST_P(AttentionHeads, MatchTheWholeMatrix) {
  for (int64_t T : {7, 64, 150}) {
    const Sizes s = sizes(T);
    const double p = T == 64 ? 0.3 : 0;
    for (auto [dtype, tolerance, grad_tolerance] : {std::tuple{DType::f64, 1e-12, 1e-12},
                                                    {DType::f32, 4e-6, 4e-5},
                                                    {DType::bf16, 8e-3, 4e-2}}) {
      Array qkv = array_of(normal_values(s.packed().size(), 1), s.packed(), dtype);
      Array dy = array_of(normal_values(s.rows().size(), 2), s.rows(), dtype);
      AttentionReference expected =
          attention_reference(s, values_of(qkv), values_of(dy), dropout_of(p));
      on_every_path([&] {
        SCOPED_TRACE(fmt::format("{}, T {}", dtype, T));
        Attended forward = test_backend()->attention.forward(qkv, s.heads(), dropout_of(p));
        Array dqkv = test_backend()->attention.grad(dy, qkv, forward, s.heads(), dropout_of(p));
        EXPECT_LE(largest_error(forward.y, expected.y), tolerance);
        EXPECT_LE(largest_error(forward.lse, expected.lse), dtype == DType::f64 ? 1e-12 : 2e-6);
        EXPECT_LE(largest_error(dqkv, expected.dqkv), grad_tolerance);
      });
    }
  }
}

// What a cached sequence of `qkv` [1, T, ...] gives, in calls of `step` tokens, in a cache that was
// asked to hold `room` positions.
std::vector<double> in_calls(const Array& qkv, const Heads& heads, DType kept, int64_t room,
                             int64_t step) {
  KvLayer cache = test_backend()->kv_cache.make_layer(1, room, heads, kept);
  const std::vector<double> all = values_of(qkv);
  const int64_t T = qkv.dim(1), row = qkv.dim(2);
  std::vector<double> rows;
  for (int64_t at = 0; at < T; at += step) {
    const int64_t n = std::min(step, T - at);
    const std::vector<double> part(all.begin() + at * row, all.begin() + (at + n) * row);
    const std::vector<double> y = values_of(test_backend()->kv_cache.attention(
        array_of(part, {1, n, row}, qkv.dtype()), heads, cache, positions_of({at})));
    rows.insert(rows.end(), y.begin(), y.end());
  }
  return rows;
}

TEST_P(AttentionHeads, OfACacheMatchTheWholeMatrix) {
  const Sizes s{
      1, 150, 4, std::get<2>(GetParam()), std::get<0>(GetParam()), std::get<1>(GetParam())};
  for (auto [dtype, kept, tolerance] : {std::tuple{DType::f64, DType::f64, 1e-12},
                                        {DType::f32, DType::f32, 4e-6},
                                        {DType::bf16, DType::bf16, 8e-3}}) {
    Array qkv = array_of(normal_values(s.packed().size(), 3), s.packed(), dtype);
    const std::vector<double> dy(size_t(s.rows().size()));
    const AttentionReference expected = attention_reference(s, values_of(qkv), dy, {});
    const std::vector<double> y = in_calls(qkv, s.heads(), kept, s.T + s.window, s.T);
    EXPECT_LE(largest_error(array_of(y, s.rows(), DType::f64), expected.y), tolerance)
        << name_of(dtype);
  }
}

// A token's bits are the same in a ring, in a larger one and in one with room for all, token by
// token and in calls of any size.
TEST_P(AttentionHeads, OfARingHaveTheBitsOfACacheWithRoomForAll) {
  const Sizes s{
      1, 700, 4, std::get<2>(GetParam()), std::get<0>(GetParam()), std::get<1>(GetParam())};
  if (s.window == 0) return;
  for (auto [dtype, kept] :
       {std::pair{DType::f32, DType::f32}, {DType::bf16, DType::bf16}, {DType::f32, DType::i8}}) {
    Array qkv = array_of(normal_values(s.packed().size(), 4), s.packed(), dtype);
    on_every_path([&] {
      const std::vector<double> expected = in_calls(qkv, s.heads(), kept, s.T + s.window, s.T);
      for (int64_t room : {int64_t(0), s.window + 100})
        for (int64_t step : {1, 3, 8, 37, 64})
          EXPECT_EQ(in_calls(qkv, s.heads(), kept, room, step), expected)
              << name_of(kept) << ", room " << room << ", calls of " << step;
    });
  }
}

TEST(AttentionRing, TakesWhatLeavesTheFirstItsWindow) {
  const Heads heads{2, 1, 8, 40};
  KvLayer ring = test_backend()->kv_cache.make_layer(1, 0, heads, DType::f32);
  EXPECT_EQ(ring.capacity, 128);
  EXPECT_EQ(ring.most_new(), 89);
  auto attend = [&](int64_t T) {
    test_backend()->kv_cache.attention(zeros({1, T, heads.columns()}, DType::f32), heads, ring,
                                       positions_of({1000000000}));
  };
  attend(89);
  EXPECT_THROW(attend(90), Error);
}

// Sequences of a batch are at positions of their own, and what one cannot see any more, or yet, is
// not even multiplied by 0.
TEST(AttentionRing, BitsDoNotDependOnTheBatchNorOnWhatTheRingHeld) {
  const Heads heads{4, 2, 16, 24};
  const int64_t row = heads.columns(), C = heads.channels();
  const std::vector<int64_t> lengths{0, 5, 60, 63, 64, 300};
  const auto B = int64_t(lengths.size());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  KvLayer ring = test_backend()->kv_cache.make_layer(B, 0, heads, DType::f32);
  const int64_t most = ring.most_new();
  test_backend()->kv_cache.attention(
      array_of(std::vector<double>(size_t(B * most * row), nan), {B, most, row}, DType::f32), heads,
      ring, positions_of(std::vector<int64_t>(size_t(B), 0)));
  std::vector<double> last, alone;
  for (int64_t b = 0; b < B; ++b) {
    const int64_t T = lengths[size_t(b)] + 1;
    std::vector<double> values = normal_values(T * row, uint32_t(30 + b));
    const std::vector<double> rows =
        in_calls(array_of(values, {1, T, row}, DType::f32), heads, DType::f32, T, 16);
    alone.insert(alone.end(), rows.end() - C, rows.end());
    last.insert(last.end(), values.end() - row, values.end());
    // Those that have left the window are NaN; all before the last, in calls of 1.
    std::fill_n(values.begin(), std::max<int64_t>(0, T - heads.window) * row, nan);
    KvLayer own = ring.rows(b, b + 1);
    for (int64_t t = 0; t + 1 < T; ++t)
      test_backend()->kv_cache.attention(
          array_of({values.begin() + t * row, values.begin() + (t + 1) * row}, {1, 1, row},
                   DType::f32),
          heads, own, positions_of({t}));
  }
  EXPECT_EQ(values_of(test_backend()->kv_cache.attention(array_of(last, {B, 1, row}, DType::f32),
                                                         heads, ring, positions_of(lengths))),
            alone);
}

TEST(AttentionRing, ACopiedSequenceGoesOnAsTheFirst) {
  const Heads heads{2, 1, 8, 70};
  const int64_t row = heads.columns();
  for (DType kept : {DType::f32, DType::i8})
    for (int64_t length : {3, 64, 128, 191, 192, 200, 500}) {
      const Array qkv =
          array_of(normal_values((length + 1) * row, 9), {1, length + 1, row}, DType::f32);
      const std::vector<double> all = in_calls(qkv, heads, kept, 0, 50), values = values_of(qkv);
      KvLayer from = test_backend()->kv_cache.make_layer(2, 0, heads, kept);
      KvLayer to = test_backend()->kv_cache.make_layer(3, 300, heads, kept);
      KvLayer second = from.rows(1, 2);
      for (int64_t t = 0; t < length; ++t)
        test_backend()->kv_cache.attention(
            array_of({values.begin() + t * row, values.begin() + (t + 1) * row}, {1, 1, row},
                     DType::f32),
            heads, second, positions_of({t}));
      test_backend()->kv_cache.copy(from, 1, to, 2, length);
      test_backend()->kv_cache.copy(to, 2, from, 0, length);
      for (KvLayer sequence : {to.rows(2, 3), from.rows(0, 1)})
        EXPECT_EQ(values_of(test_backend()->kv_cache.attention(
                      array_of({values.end() - row, values.end()}, {1, 1, row}, DType::f32), heads,
                      sequence, positions_of({length}))),
                  std::vector<double>(all.end() - heads.channels(), all.end()))
            << name_of(kept) << ", " << length;
    }
}

}  // namespace
}  // namespace folio
