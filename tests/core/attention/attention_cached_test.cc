#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <span>

#include "core/parallel.h"
#include "tests/core/attention/attention_reference.h"
#include "tests/device.h"

namespace folio {
namespace {

// Columns [begin, end) of the T dimension of a [B, T, n] array.
Array part_of(const Array& array, int64_t begin, int64_t end) {
  const int64_t B = array.dim(0), T = array.dim(1), n = array.dim(2);
  std::vector<double> all = values_of(array), part;
  for (int64_t b = 0; b < B; ++b) {
    part.insert(part.end(), all.begin() + (b * T + begin) * n, all.begin() + (b * T + end) * n);
  }
  return array_of(part, {B, end - begin, n}, array.dtype());
}

// attention_cached over `qkv` [1, T, 3C] in calls of the given sizes, in a fresh cache -> [T, C].
std::vector<double> in_calls(const Array& qkv, int64_t H, DType kept,
                             const std::vector<int64_t>& calls) {
  const int64_t T = qkv.dim(1);
  KvLayer cache = test_backend()->kv_cache.make_layer(1, T, Heads::alike(qkv.dim(2) / 3, H), kept);
  std::vector<double> rows;
  int64_t position = 0;
  for (int64_t n : calls) {
    Array part = part_of(qkv, position, position + n);
    std::vector<double> y = values_of(test_backend()->kv_cache.attention(
        part, Heads::alike(qkv.dim(2) / 3, H), cache, positions_of({position})));
    rows.insert(rows.end(), y.begin(), y.end());
    position += n;
  }
  EXPECT_EQ(position, T);
  return rows;
}

// What activations go with what the cache keeps.
struct Kinds {
  DType dtype, kept;
};
constexpr Kinds all_kinds[] = {{DType::f64, DType::f64},  {DType::f32, DType::f32},
                               {DType::f32, DType::bf16}, {DType::f32, DType::i8},
                               {DType::bf16, DType::f32}, {DType::bf16, DType::bf16},
                               {DType::bf16, DType::i8}};

// Lengths around 64 keys, and widths around whole 16 bytes and those of tensor cores' tiles.
constexpr std::pair<int, int> all_sizes[] = {{1, 4},    {63, 20},  {65, 32}, {130, 64},
                                             {127, 24}, {64, 128}, {17, 96}, {66, 272}};

TEST(CachedAttention, MatchesAttention) {
  for (auto [T, D] : all_sizes) {
    const Sizes s{1, T, 3, D};
    for (auto [dtype, kept, tolerance] : {std::tuple{DType::f64, DType::f64, 1e-12},
                                          {DType::f32, DType::f32, 4e-6},
                                          {DType::f32, DType::bf16, 1e-2},
                                          {DType::bf16, DType::f32, 8e-3},
                                          {DType::bf16, DType::bf16, 8e-3}}) {
      Array qkv = array_of(normal_values(s.packed().size(), 9), s.packed(), dtype);
      AttentionReference expected =
          attention_reference(s, values_of(qkv), normal_values(s.rows().size(), 10), {});
      KvLayer cache = test_backend()->kv_cache.make_layer(1, T, s.heads(), kept);
      Array y;
      on_every_target([&] {
        y = test_backend()->kv_cache.attention(qkv, s.heads(), cache, positions_of({0}));
        EXPECT_LE(largest_error(y, expected.y), tolerance);
      });
      EXPECT_EQ(y.shape(), s.rows());
      EXPECT_EQ(y.dtype(), dtype);
      EXPECT_LE(largest_error(y, expected.y), tolerance)
          << fmt::format("T {}, D {}, {} in {}", T, D, dtype, kept);
    }
  }
}

// f(its D elements) for every [position][key, value][head] of qkv.
template <class F>
void for_keys_and_values(const Sizes& s, std::vector<double>& qkv, F&& f) {
  for (int64_t row = 0; row < s.B * s.T; ++row)
    for (int64_t part : {1, 2})
      for (int64_t head = 0; head < s.H; ++head)
        f(std::span(qkv).subspan(size_t(row * 3 * s.C() + part * s.C() + head * s.D), size_t(s.D)));
}

double largest_of(std::span<const double> x) {
  double largest = 0;
  for (double value : x) largest = std::max(largest, std::abs(value));
  return largest;
}

TEST(CachedAttention, Int8AttendsToThe127thsOfEachPositionsLargest) {
  for (auto [T, D] : std::span(all_sizes).first(7)) {  // the last has ties, in bf16
    const Sizes s{1, T, 3, D};
    for (auto [dtype, tolerance] : {std::pair{DType::f32, 4e-6}, {DType::bf16, 8e-3}}) {
      std::vector<double> values = normal_values(s.packed().size(), 9);
      std::fill_n(values.begin() + s.C(), D, 0);  // a key without a largest
      Array qkv = array_of(values, s.packed(), dtype);
      values = values_of(qkv);
      for_keys_and_values(s, values, [](std::span<double> x) {
        const double largest = largest_of(x);
        for (double& value : x)
          if (largest > 0) value = std::nearbyint(127 * value / largest) * largest / 127;
      });
      AttentionReference expected =
          attention_reference(s, values, normal_values(s.rows().size(), 10), {});
      on_every_target([&, dtype = dtype, tolerance = tolerance] {
        KvLayer cache = test_backend()->kv_cache.make_layer(1, s.T, s.heads(), DType::i8);
        Array y = test_backend()->kv_cache.attention(qkv, s.heads(), cache, positions_of({0}));
        EXPECT_EQ(y.dtype(), dtype);
        EXPECT_LE(largest_error(y, expected.y), tolerance)
            << fmt::format("T {}, D {}, {}", s.T, s.D, dtype);
      });
    }
  }
}

// Half a step moves a score by at most e = scale sum|q| largest|k| / 254, hence a probability by a
// factor within exp(+-2e), and a value by largest|v| / 254.
TEST(CachedAttention, Int8IsWithinItsStepsOfAttention) {
  const Sizes s{1, 130, 3, 64};
  Array qkv = array_of(normal_values(s.packed().size(), 12, 0.5), s.packed(), DType::f32);
  std::vector<double> values = values_of(qkv), largest;  // of [t][key or value][head]
  for_keys_and_values(s, values, [&](std::span<double> x) { largest.push_back(largest_of(x)); });
  std::vector<double> exact =
      attention_reference(s, values, normal_values(s.rows().size(), 10), {}).y;
  std::vector<double> y = in_calls(qkv, s.H, DType::i8, {s.T});
  for (int64_t h = 0; h < s.H; ++h) {
    double k = 0, v = 0;  // the largest so far
    for (int64_t t = 0; t < s.T; ++t) {
      k = std::max(k, largest[size_t(2 * t * s.H + h)]);
      v = std::max(v, largest[size_t((2 * t + 1) * s.H + h)]);
      double sum = 0;
      for (int64_t c = 0; c < s.D; ++c)
        sum += std::abs(values[size_t(t * 3 * s.C() + h * s.D + c)]);
      const double e = sum * k / 254 / std::sqrt(double(s.D));
      const double bound = v / 254 + std::expm1(2 * e) * v + 4e-6;
      for (int64_t c = 0; c < s.D; ++c) {
        const size_t i = size_t(t * s.C() + h * s.D + c);
        ASSERT_NEAR(y[i], exact[i], bound) << "position " << t << ", head " << h;
      }
    }
  }
}

// A number that is not finite reaches the rows that see it, and leaves the bits of all others. An
// infinite key may give a probability of 0: under int8 alone it makes the whole key NaN.
TEST(CachedAttention, WhatIsNotFiniteStaysWithThoseWhoSeeIt) {
  for (auto [dtype, kept] : all_kinds) {
    if (dtype == DType::f64) continue;  // on the CPU, Highway's exp(NaN) is 0
    for (int64_t D : {20, 32}) {
      const Sizes s{1, 70, 2, D};
      const std::vector<double> finite = normal_values(s.packed().size(), 13);
      const std::vector<double> expected =
          in_calls(array_of(finite, s.packed(), dtype), s.H, kept, {s.T});
      for (double wrong : {std::nan(""), double(INFINITY)}) {
        for (int64_t part : {1, 2}) {
          if (part == 1 && std::isinf(wrong) && kept != DType::i8) continue;
          std::vector<double> values = finite;
          values[size_t(40 * 3 * s.C() + part * s.C())] = wrong;  // of the first head alone
          const std::vector<double> y =
              in_calls(array_of(values, s.packed(), dtype), s.H, kept, {34, s.T - 34});
          for (int64_t i = 0; i < s.T * s.C(); ++i) {
            const int64_t column = i % s.C();
            if (i / s.C() < 40 || column >= D) {
              ASSERT_EQ(y[size_t(i)], expected[size_t(i)]) << "position " << i / s.C();
            } else if (part == 1 || kept == DType::i8 || column == 0) {
              ASSERT_FALSE(std::isfinite(y[size_t(i)])) << "position " << i / s.C();
            }
          }
        }
      }
    }
  }
}

TEST(CachedAttention, BitsDoNotDependOnTheSplit) {
  for (auto [dtype, kept] : all_kinds) {
    for (int64_t D : {4, 20, 32}) {
      const int64_t T = 133, H = 1;
      Array qkv = array_of(normal_values(T * 3 * H * D, 11), {1, T, 3 * H * D}, dtype);
      on_every_target([&, kept = kept] {
        EXPECT_EQ(in_calls(qkv, H, kept, std::vector<int64_t>(T, 1)), in_calls(qkv, H, kept, {T}));
      });
      const std::vector<double> whole = in_calls(qkv, H, kept, {T});
      for (int64_t n : {1, 2, 7, 15, 16, 17, 31, 48, 62, 63, 64, 65, 100, 117, 127, 128, 129, 132})
        EXPECT_EQ(in_calls(qkv, H, kept, {n, T - n}), whole)
            << n << ", D " << D << ", " << name_of(dtype) << " in " << name_of(kept);
      EXPECT_EQ(in_calls(qkv, H, kept, {3, 8, 52, 1, 1, 9, 25, 34}), whole);
      EXPECT_EQ(in_calls(qkv, H, kept, std::vector<int64_t>(T / 7, 7)), whole);
    }
  }
}

class CachedAttentionIn : public testing::TestWithParam<Kinds> {};
INSTANTIATE_TEST_SUITE_P(All, CachedAttentionIn, testing::ValuesIn(all_kinds),
                         [](const auto& info) {
                           return fmt::format("{}_in_{}", info.param.dtype, info.param.kept);
                         });

// Sequences at different positions, decoded together, on any number of threads, after the cache
// held something else: each is what it is alone.
TEST_P(CachedAttentionIn, BitsDoNotDependOnTheBatchNorOnWhatTheCacheHeld) {
  const auto [dtype, kept] = GetParam();
  const int64_t H = 2, D = 32, C = H * D, capacity = 130;
  const std::vector<int64_t> lengths{1, 17, 63, 64, 80};
  const auto B = int64_t(lengths.size());
  std::vector<std::vector<double>> inputs, alone;
  std::vector<double> last;
  for (int64_t b = 0; b < B; ++b) {
    const int64_t T = lengths[size_t(b)] + 1;
    Array qkv = array_of(normal_values(T * 3 * C, uint32_t(20 + b)), {1, T, 3 * C}, dtype);
    std::vector<double> rows = in_calls(qkv, H, kept, {T});
    inputs.push_back(values_of(qkv));
    alone.push_back({rows.end() - C, rows.end()});
    last.insert(last.end(), inputs.back().end() - 3 * C, inputs.back().end());
  }
  for (int threads : {1, 3}) {
    set_parallel_threads(threads);
    KvLayer cache = test_backend()->kv_cache.make_layer(B, capacity, Heads::alike(C, H), kept);
    const std::vector<double> stale(size_t(B * capacity * 3 * C), std::nan(""));
    test_backend()->kv_cache.attention(array_of(stale, {B, capacity, 3 * C}, dtype),
                                       Heads::alike(C, H), cache,
                                       positions_of(std::vector<int64_t>(size_t(B), 0)));
    // Rewind, then feed each its own prefix, token by token; a sequence that is done repeats its
    // last position.
    std::vector<int64_t> positions(size_t(B), 0);
    for (int64_t t = 0; t < lengths.back(); ++t) {
      std::vector<double> step;
      for (int64_t b = 0; b < B; ++b) {
        positions[size_t(b)] = std::min(t, lengths[size_t(b)] - 1);
        auto at = inputs[size_t(b)].begin() + positions[size_t(b)] * 3 * C;
        step.insert(step.end(), at, at + 3 * C);
      }
      test_backend()->kv_cache.attention(array_of(step, {B, 1, 3 * C}, dtype), Heads::alike(C, H),
                                         cache, positions_of(positions));
    }
    std::vector<double> y = values_of(test_backend()->kv_cache.attention(
        array_of(last, {B, 1, 3 * C}, dtype), Heads::alike(C, H), cache, positions_of(lengths)));
    for (int64_t b = 0; b < B; ++b) {
      EXPECT_EQ(std::vector<double>(y.begin() + b * C, y.begin() + (b + 1) * C), alone[size_t(b)])
          << "sequence " << b << ", " << threads << " threads";
    }
  }
  set_parallel_threads(0);
}

TEST(CachedAttention, ErrorsNameTheNumbers) {
  KvLayer cache = test_backend()->kv_cache.make_layer(2, 10, Heads::alike(8, 2), DType::f32);
  auto message = [&](Shape shape, std::vector<int64_t> positions) -> std::string {
    try {
      test_backend()->kv_cache.attention(
          array_of(std::vector<double>(size_t(shape.size())), shape, DType::f32),
          Heads::alike(shape[2] / 3, 2), cache, positions_of(positions));
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message({2, 4, 24}, {6, 6}), "no error");
  EXPECT_THAT(message({2, 4, 24}, {6, 7}),
              testing::HasSubstr("a sequence has 7 positions in the cache and 4 new ones, but the "
                                 "cache holds 10"));
  EXPECT_THAT(message({2, 11, 24}, {0, 0}), testing::HasSubstr("11 new ones"));
  EXPECT_THAT(message({2, 1, 24}, {-1, 0}), testing::HasSubstr("-1 positions"));
  EXPECT_THAT(message({3, 1, 24}, {0, 0, 0}), testing::HasSubstr("3 sequences"));
  EXPECT_THAT(message({2, 1, 48}, {0, 0}), testing::HasSubstr("2 heads of 8"));
  EXPECT_THROW(test_backend()->kv_cache.make_layer(2, 10, Heads::alike(8, 2), DType::i32), Error);
}

// Whoever writes positions into an Array says which they are, as kernels look at none.
TEST(CachedAttention, PositionsOfWhichNothingIsKnownAreAnError) {
  KvLayer cache = test_backend()->kv_cache.make_layer(1, 10, Heads::alike(8, 2), DType::f32);
  const Array qkv = zeros({1, 1, 24}, DType::f32);
  Array positions = empty({1}, DType::i32);
  const int32_t first = 3;
  test_backend()->memory.write(&first, positions);
  EXPECT_THROW(test_backend()->kv_cache.attention(qkv, Heads::alike(8, 2), cache, positions),
               Error);
  positions.set_id_range({3, 4});
  test_backend()->kv_cache.attention(qkv, Heads::alike(8, 2), cache, positions);
}

}  // namespace
}  // namespace folio
