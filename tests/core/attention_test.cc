#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "tests/core/arrays.h"

namespace folio {
namespace {

struct Sizes {
  int64_t B, T, H, D;
  int64_t C() const { return H * D; }
  Shape packed() const { return {B, T, 3 * C()}; }
  Shape rows() const { return {B, T, C()}; }
};

double largest_error(const Array& actual, const std::vector<double>& expected) {
  std::vector<double> values = values_of(actual);
  EXPECT_EQ(values.size(), expected.size());
  double error = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    double difference = std::abs(values[i] - expected[i]) / (1 + std::abs(expected[i]));
    error = difference <= error ? error : difference;  // NaN counts
  }
  return error;
}

struct Reference {
  std::vector<double> y, lse, dqkv;
};

// Attention and its gradient as the textbook has them, with the whole [T, T] matrix, in f64.
Reference reference(const Sizes& s, const std::vector<double>& qkv, const std::vector<double>& dy,
                    const Dropout& dropout) {
  const int64_t T = s.T, D = s.D, C = s.C();
  Reference r{std::vector<double>(size_t(s.B * T * C)), std::vector<double>(size_t(s.B * s.H * T)),
              std::vector<double>(size_t(s.B * T * 3 * C))};
  const double scale = 1 / std::sqrt(double(D));
  for (int64_t head = 0; head < s.B * s.H; ++head) {
    auto packed = [&](int64_t part, int64_t t) {
      return size_t((head / s.H * T + t) * 3 * C + part * C + head % s.H * D);
    };
    auto row = [&](int64_t t) { return size_t((head / s.H * T + t) * C + head % s.H * D); };
    for (int64_t i = 0; i < T; ++i) {
      std::vector<double> p(size_t(i + 1)), factor(size_t(i + 1)), dp(size_t(i + 1));
      double sum = 0, delta = 0;
      for (int64_t j = 0; j <= i; ++j) {
        double score = 0;
        for (int64_t c = 0; c < D; ++c) score += qkv[packed(0, i) + c] * qkv[packed(1, j) + c];
        sum += p[j] = std::exp(score * scale);
        bool keeps = !dropout.enabled() || dropout.keeps(uint64_t((head * T + i) * T + j));
        factor[j] = keeps ? dropout.scale() : 0;
      }
      r.lse[size_t(head * T + i)] = std::log(sum);
      for (int64_t j = 0; j <= i; ++j) {
        p[j] /= sum;
        for (int64_t c = 0; c < D; ++c) {
          r.y[row(i) + c] += p[j] * factor[j] * qkv[packed(2, j) + c];
          r.dqkv[packed(2, j) + c] += p[j] * factor[j] * dy[row(i) + c];
          dp[j] += factor[j] * dy[row(i) + c] * qkv[packed(2, j) + c];
        }
        delta += p[j] * dp[j];
      }
      for (int64_t j = 0; j <= i; ++j) {
        const double ds = p[j] * (dp[j] - delta) * scale;
        for (int64_t c = 0; c < D; ++c) {
          r.dqkv[packed(0, i) + c] += ds * qkv[packed(1, j) + c];
          r.dqkv[packed(1, j) + c] += ds * qkv[packed(0, i) + c];
        }
      }
    }
  }
  return r;
}

Dropout dropout_of(double p) { return Dropout::with(p, RandomStream{0x1234567890abcdefu, 77}); }

// (T, D): every way that a length and a width can miss a block, a vector or a group of 8.
class AttentionShapes : public testing::TestWithParam<std::tuple<int64_t, int64_t>> {
 protected:
  Sizes sizes() const {
    auto [T, D] = GetParam();
    return {T < 100 ? 2 : 1, T, 2, D};
  }
};
INSTANTIATE_TEST_SUITE_P(All, AttentionShapes,
                         testing::Combine(testing::Values(1, 3, 8, 63, 64, 65, 100, 256),
                                          testing::Values(4, 16, 20, 32, 64)),
                         [](const auto& info) {
                           return fmt::format("T{}_D{}", std::get<0>(info.param),
                                              std::get<1>(info.param));
                         });

TEST_P(AttentionShapes, MatchesTheWholeMatrix) {
  const Sizes s = sizes();
  for (double p : {0.0, 0.3}) {
    for (auto [dtype, tolerance, grad_tolerance] : {std::tuple{DType::f64, 1e-12, 1e-12},
                                                    {DType::f32, 4e-6, 2e-5},
                                                    {DType::bf16, 8e-3, 3e-2}}) {
      // What the arrays hold after rounding is what the reference sees.
      Array qkv = array_of(normal_values(s.packed().size(), 1), s.packed(), dtype);
      Array dy = array_of(normal_values(s.rows().size(), 2), s.rows(), dtype);
      Reference expected = reference(s, values_of(qkv), values_of(dy), dropout_of(p));
      on_every_path([&] {
        Attended forward = backend(cpu).attention(qkv, s.H, dropout_of(p));
        Array dqkv = backend(cpu).attention_grad(dy, qkv, forward, s.H, dropout_of(p));
        SCOPED_TRACE(fmt::format("{}, dropout {}", dtype, p));
        EXPECT_EQ(forward.y.shape(), s.rows());
        EXPECT_EQ(forward.y.dtype(), dtype);
        EXPECT_EQ(forward.lse.shape(), (Shape{s.B, s.H, s.T}));
        EXPECT_LE(largest_error(forward.y, expected.y), tolerance);
        EXPECT_LE(largest_error(forward.lse, expected.lse), dtype == DType::f64 ? 1e-12 : 2e-6);
        EXPECT_EQ(dqkv.shape(), s.packed());
        EXPECT_LE(largest_error(dqkv, expected.dqkv), grad_tolerance);
      });
    }
  }
}

TEST(Attention, GradientMatchesFiniteDifferences) {
  const Sizes s{1, 11, 2, 4};
  const Dropout dropout = dropout_of(0.25);
  std::vector<double> qkv = normal_values(s.packed().size(), 3);
  const std::vector<double> dy = normal_values(s.rows().size(), 4);
  auto forward = [&] { return backend(cpu).attention(to_array(qkv, s.packed()), s.H, dropout); };
  auto objective = [&] {
    double sum = 0;
    std::vector<double> y = values_of(forward().y);
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  const std::vector<double> grad = values_of(backend(cpu).attention_grad(
      to_array(dy, s.rows()), to_array(qkv, s.packed()), forward(), s.H, dropout));
  for (size_t i = 0; i < qkv.size(); ++i) {
    const double at = qkv[i], step = 1e-5;
    qkv[i] = at + step;
    const double above = objective();
    qkv[i] = at - step;
    const double below = objective();
    qkv[i] = at;
    ASSERT_NEAR(grad[i], (above - below) / (2 * step), 1e-8) << "element " << i;
  }
}

TEST(Attention, LargeScoresStayFiniteAndNanIsNotSwallowed) {
  const Sizes s{1, 70, 1, 16};
  for (DType dtype : {DType::f32, DType::bf16}) {
    on_every_path([&] {
      std::vector<double> values = normal_values(s.packed().size(), 5, 100);
      Array qkv = array_of(values, s.packed(), dtype);
      Array dy = array_of(normal_values(s.rows().size(), 6), s.rows(), dtype);
      Attended forward = backend(cpu).attention(qkv, 1, {});
      for (double y : values_of(forward.y)) ASSERT_TRUE(std::isfinite(y));
      for (double g : values_of(backend(cpu).attention_grad(dy, qkv, forward, 1, {}))) {
        ASSERT_TRUE(std::isfinite(g));
      }
      values[size_t(40 * 48 + 16)] = std::nan("");  // one key
      std::vector<double> y =
          values_of(backend(cpu).attention(array_of(values, s.packed(), dtype), 1, {}).y);
      for (int64_t t = 0; t < s.T; ++t) ASSERT_EQ(std::isnan(y[size_t(t * 16)]), t >= 40) << t;
    });
  }
}

TEST(Attention, BitsDoNotDependOnTheThreads) {
  for (const Sizes& s : {Sizes{3, 100, 5, 20}, Sizes{1, 600, 2, 32}}) {
    for (DType dtype : {DType::f32, DType::bf16}) {
      Array qkv = array_of(normal_values(s.packed().size(), 7), s.packed(), dtype);
      Array dy = array_of(normal_values(s.rows().size(), 8), s.rows(), dtype);
      std::vector<std::vector<char>> results;
      for (int threads : {1, 2, 3}) {
        backend(cpu).set_threads(threads);
        Attended forward = backend(cpu).attention(qkv, s.H, dropout_of(0.1));
        Array dqkv = backend(cpu).attention_grad(dy, qkv, forward, s.H, dropout_of(0.1));
        std::vector<char> bytes = bytes_of(forward.y);
        for (const Array& part : {forward.lse, dqkv}) {
          std::vector<char> more = bytes_of(part);
          bytes.insert(bytes.end(), more.begin(), more.end());
        }
        results.push_back(bytes);
      }
      backend(cpu).set_threads(0);
      EXPECT_TRUE(results[0] == results[1]);
      EXPECT_TRUE(results[0] == results[2]);
    }
  }
}

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
  KvLayer cache = backend(cpu).make_kv_layer(1, T, qkv.dim(2) / 3, H, kept);
  std::vector<double> rows;
  int64_t position = 0;
  for (int64_t n : calls) {
    Array part = part_of(qkv, position, position + n);
    std::vector<double> y =
        values_of(backend(cpu).attention_cached(part, H, cache, std::vector<int64_t>{position}));
    rows.insert(rows.end(), y.begin(), y.end());
    position += n;
  }
  EXPECT_EQ(position, T);
  return rows;
}

TEST(CachedAttention, MatchesAttention) {
  for (auto [T, D] : {std::pair{1, 4}, {63, 20}, {65, 32}, {130, 64}}) {
    const Sizes s{1, T, 3, D};
    for (auto [dtype, kept, tolerance] : {std::tuple{DType::f64, DType::f64, 1e-12},
                                          {DType::f32, DType::f32, 4e-6},
                                          {DType::f32, DType::bf16, 1e-2},
                                          {DType::bf16, DType::f32, 8e-3},
                                          {DType::bf16, DType::bf16, 8e-3}}) {
      Array qkv = array_of(normal_values(s.packed().size(), 9), s.packed(), dtype);
      Reference expected = reference(s, values_of(qkv), normal_values(s.rows().size(), 10), {});
      KvLayer cache = backend(cpu).make_kv_layer(1, T, s.C(), s.H, kept);
      Array y;
      on_every_target([&] {
        y = backend(cpu).attention_cached(qkv, s.H, cache, std::vector<int64_t>{0});
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
  for (auto [T, D] : {std::pair{1, 4}, {63, 20}, {65, 32}, {130, 64}}) {
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
      Reference expected = reference(s, values, normal_values(s.rows().size(), 10), {});
      on_every_target([&, dtype = dtype, tolerance = tolerance] {
        KvLayer cache = backend(cpu).make_kv_layer(1, s.T, s.C(), s.H, DType::i8);
        Array y = backend(cpu).attention_cached(qkv, s.H, cache, std::vector<int64_t>{0});
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
  std::vector<double> exact = reference(s, values, normal_values(s.rows().size(), 10), {}).y;
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

TEST(CachedAttention, WhatIsNotFiniteStaysSoInInt8) {
  const Sizes s{1, 70, 2, 20};
  for (double wrong : {std::nan(""), double(INFINITY)}) {
    for (int64_t part : {1, 2}) {
      std::vector<double> values = normal_values(s.packed().size(), 13);
      values[size_t(40 * 3 * s.C() + part * s.C())] = wrong;  // of the first head alone
      std::vector<double> y =
          in_calls(array_of(values, s.packed(), DType::f32), s.H, DType::i8, {s.T});
      for (int64_t i = 0; i < s.T * s.C(); ++i) {
        const bool sees = i / s.C() >= 40 && i % s.C() < s.D;
        ASSERT_EQ(std::isfinite(y[size_t(i)]), !sees) << "position " << i / s.C();
      }
    }
  }
}

TEST(CachedAttention, BitsDoNotDependOnTheSplit) {
  for (auto [dtype, kept] : {std::pair{DType::f32, DType::f32},
                             {DType::f32, DType::bf16},
                             {DType::bf16, DType::bf16},
                             {DType::f32, DType::i8},
                             {DType::bf16, DType::i8}}) {
    for (int64_t D : {4, 20}) {
      const int64_t T = 133, H = 1;
      Array qkv = array_of(normal_values(T * 3 * H * D, 11), {1, T, 3 * H * D}, dtype);
      on_every_target([&, kept = kept] {
        EXPECT_EQ(in_calls(qkv, H, kept, std::vector<int64_t>(T, 1)), in_calls(qkv, H, kept, {T}));
      });
      const std::vector<double> whole = in_calls(qkv, H, kept, {T});
      for (int64_t n = 1; n < T; ++n) EXPECT_EQ(in_calls(qkv, H, kept, {n, T - n}), whole) << n;
      EXPECT_EQ(in_calls(qkv, H, kept, {3, 8, 52, 1, 1, 9, 25, 34}), whole);
    }
  }
}

class CachedAttentionIn : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(All, CachedAttentionIn,
                         testing::Values(DType::f32, DType::bf16, DType::i8),
                         [](const auto& info) { return std::string(name_of(info.param)); });

// Sequences at different positions, decoded together, on any number of threads, after the cache
// held something else: each is what it is alone.
TEST_P(CachedAttentionIn, BitsDoNotDependOnTheBatchTheThreadsOrWhatTheCacheHeld) {
  const int64_t H = 2, D = 32, C = H * D, capacity = 150;
  const std::vector<int64_t> lengths{1, 17, 63, 64, 100, 149};
  const auto B = int64_t(lengths.size());
  std::vector<std::vector<double>> alone;
  std::vector<double> last;
  for (int64_t b = 0; b < B; ++b) {
    const int64_t T = lengths[size_t(b)] + 1;
    Array qkv = array_of(normal_values(T * 3 * C, uint32_t(20 + b)), {1, T, 3 * C}, DType::f32);
    std::vector<double> rows = in_calls(qkv, H, GetParam(), {T}), values = values_of(qkv);
    alone.push_back({rows.end() - C, rows.end()});
    last.insert(last.end(), values.end() - 3 * C, values.end());
  }
  for (int threads : {1, 2, 3}) {
    backend(cpu).set_threads(threads);
    KvLayer cache = backend(cpu).make_kv_layer(B, capacity, C, H, GetParam());
    const std::vector<double> stale(size_t(B * capacity * 3 * C), std::nan(""));
    backend(cpu).attention_cached(array_of(stale, {B, capacity, 3 * C}, DType::f32), H, cache,
                                  std::vector<int64_t>(size_t(B), 0));
    // Rewind, then feed each its own prefix, token by token; a sequence that is done repeats its
    // last position.
    std::vector<int64_t> positions(size_t(B), 0);
    for (int64_t t = 0; t < 149; ++t) {
      std::vector<double> step;
      for (int64_t b = 0; b < B; ++b) {
        const int64_t length = lengths[size_t(b)];
        positions[size_t(b)] = std::min(t, length - 1);
        std::vector<double> values = normal_values((length + 1) * 3 * C, uint32_t(20 + b));
        auto at = values.begin() + positions[size_t(b)] * 3 * C;
        step.insert(step.end(), at, at + 3 * C);
      }
      backend(cpu).attention_cached(array_of(step, {B, 1, 3 * C}, DType::f32), H, cache, positions);
    }
    std::vector<double> y = values_of(backend(cpu).attention_cached(
        array_of(last, {B, 1, 3 * C}, DType::f32), H, cache, lengths));
    for (int64_t b = 0; b < B; ++b) {
      EXPECT_EQ(std::vector<double>(y.begin() + b * C, y.begin() + (b + 1) * C), alone[size_t(b)])
          << "sequence " << b << ", " << threads << " threads";
    }
  }
  backend(cpu).set_threads(0);
}

TEST(CachedAttention, ErrorsNameTheNumbers) {
  KvLayer cache = backend(cpu).make_kv_layer(2, 10, 8, 2, DType::f32);
  auto message = [&](Shape shape, std::vector<int64_t> positions) -> std::string {
    try {
      backend(cpu).attention_cached(
          array_of(std::vector<double>(size_t(shape.size())), shape, DType::f32), 2, cache,
          positions);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message({2, 4, 24}, {6, 6}), "no error");
  EXPECT_THAT(message({2, 4, 24}, {6, 7}),
              testing::HasSubstr("sequence 1 has 7 positions in the cache and 4 new ones, but the "
                                 "cache holds 10"));
  EXPECT_THAT(message({2, 11, 24}, {0, 0}), testing::HasSubstr("11 new ones"));
  EXPECT_THAT(message({2, 1, 24}, {-1, 0}), testing::HasSubstr("-1 positions"));
  EXPECT_THAT(message({3, 1, 24}, {0, 0, 0}), testing::HasSubstr("3 sequences"));
  EXPECT_THAT(message({2, 1, 48}, {0, 0}), testing::HasSubstr("2 heads of 8"));
  EXPECT_THROW(backend(cpu).make_kv_layer(2, 10, 8, 2, DType::i32), Error);
}

}  // namespace
}  // namespace folio
