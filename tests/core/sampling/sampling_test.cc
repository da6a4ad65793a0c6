// Tokens drawn from logits: which may be, and how often.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>

#include "tests/core/sampling/even_draws.h"
#include "tests/device.h"

namespace folio {
namespace {

const std::vector<float> logits{1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

// n rows of those logits, each drawn from with another nth of what u may be.
std::vector<int32_t> draws(const std::vector<float>& values, const SamplerOptions& options,
                           const std::vector<int32_t>& seen, int n) {
  const RandomStream stream{1, 2};
  std::vector<float> rows;
  std::vector<RowDraw> with;
  for (uint64_t number : even_draws(stream, size_t(n))) {
    rows.insert(rows.end(), values.begin(), values.end());
    with.push_back({stream, number, seen});
  }
  const int64_t V = std::ssize(values);
  return to_vector<int32_t>(
      test_backend()->sampling.draw(to_array(rows, {n, V}), V, options, with));
}

int32_t first_draw(const std::vector<float>& values, const SamplerOptions& options,
                   const std::vector<int32_t>& seen = {}) {
  return draws(values, options, seen, 1)[0];
}

// To two parts in n: the nths at the ends of a token's share may be its neighbours'.
constexpr int n = 1000;
constexpr double near = 2.0 / n;
std::map<int32_t, double> frequencies(const SamplerOptions& options,
                                      const std::vector<int32_t>& seen = {}) {
  std::map<int32_t, double> count;
  for (int32_t id : draws(logits, options, seen, n)) count[id] += 1.0 / n;
  return count;
}

TEST(Sampling, TemperatureZeroTakesTheFirstOfTheMostLikely) {
  EXPECT_THAT(draws(logits, {.temperature = 0}, {}, 20), testing::Each(1));
}

TEST(Sampling, DrawsWithTheSoftmaxProbabilities) {
  for (double temperature : {0.5, 1.0, 2.0}) {
    auto seen = frequencies({.temperature = temperature});
    double sum = 0;
    for (float logit : logits) sum += std::exp(logit / temperature);
    for (size_t v = 0; v < logits.size(); ++v)
      EXPECT_NEAR(seen[int32_t(v)], std::exp(logits[v] / temperature) / sum, near) << v;
  }
}

TEST(Sampling, TheColdestAndTheHottestTemperaturesAreFinite) {
  EXPECT_EQ(frequencies({.temperature = 1e-300}).size(), 2u);  // 1 and 3 are equally likely
  auto even = frequencies({.temperature = 1e300});
  for (int32_t v = 0; v < 5; ++v) EXPECT_NEAR(even[v], 0.2, near);
}

TEST(Sampling, TopKKeepsTheKMostLikely) {
  auto seen = frequencies({.temperature = 1, .top_k = 2});
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_NEAR(seen[1], 0.5, near);
  EXPECT_NEAR(seen[3], 0.5, near);
  EXPECT_EQ(frequencies({.top_k = 1}).begin()->first, 1);
  EXPECT_EQ(frequencies({.top_k = 9}).size(), 5u);
}

TEST(Sampling, TopPKeepsTheFewestThatReachP) {
  // Probabilities: 0.395 (1), 0.395 (3), 0.145 (2), 0.053 (0), 0.007 (4).
  EXPECT_EQ(frequencies({.top_p = 0.3}).size(), 1u);
  EXPECT_EQ(frequencies({.top_p = 0.7}).size(), 2u);
  EXPECT_EQ(frequencies({.top_p = 0.9}).size(), 3u);
  EXPECT_EQ(frequencies({.top_p = 1.0}).size(), 5u);
  // Of the two that top_k leaves, 0.5 each, one reaches 0.45.
  EXPECT_EQ(frequencies({.top_k = 2, .top_p = 0.45}).size(), 1u);
}

TEST(Sampling, MinPDropsWhatIsFarBelowTheLikeliest) {
  // Shares of the likeliest: 1 (1), 1 (3), 0.368 (2), 0.135 (0), 0.018 (4).
  EXPECT_EQ(frequencies({.min_p = 0.01}).size(), 5u);
  EXPECT_EQ(frequencies({.min_p = 0.1}).size(), 4u);
  EXPECT_EQ(frequencies({.min_p = 0.3}).size(), 3u);
  EXPECT_EQ(frequencies({.min_p = 0.5}).size(), 2u);
  EXPECT_EQ(frequencies({.temperature = 3, .min_p = 0.5}).size(), 4u);  // after temperature
}

// Hugging Face's RepetitionPenaltyLogitsProcessor: a positive logit is divided, another multiplied.
TEST(Sampling, RepetitionPenaltyAppliesOnceToEachSeenToken) {
  const SamplerOptions greedy{.repetition_penalty = 1.6, .temperature = 0};
  EXPECT_EQ(first_draw(logits, greedy), 1);
  EXPECT_EQ(first_draw(logits, greedy, {1}), 3);
  EXPECT_EQ(first_draw(logits, greedy, {3, 1}), 2);
  std::vector<double> expected{1, 3 / 1.6, 2, 3, -1.6};
  double sum = 0;
  for (double logit : expected) sum += std::exp(logit);
  auto drawn = frequencies({.repetition_penalty = 1.6, .temperature = 1}, {1, 4});
  for (int32_t v = 0; v < 5; ++v)
    EXPECT_NEAR(drawn[v], std::exp(expected[size_t(v)]) / sum, near) << v;
}

// One of many, wherever it stands and however tokens are chosen: the others look healthy.
TEST(Sampling, ALogitThatIsNotFiniteGivesMinusOne) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (float wrong : {std::numeric_limits<float>::quiet_NaN(), -infinity, infinity}) {
    for (size_t at : {0, 1, 30, 63}) {
      std::vector<float> values(64);
      for (size_t i = 0; i < values.size(); ++i) values[i] = float(i % 7);
      values[at] = wrong;
      for (SamplerOptions o : std::vector<SamplerOptions>{{},
                                                          {.temperature = 0},
                                                          {.top_k = 3},
                                                          {.top_p = 0.5},
                                                          {.min_p = 0.5},
                                                          {.repetition_penalty = 2}})
        EXPECT_EQ(first_draw(values, o, {int32_t(at), 5}), -1) << at << " " << wrong;
    }
    EXPECT_EQ(first_draw(std::vector<float>(4, wrong), {}), -1);
  }
}

// The largest and smallest floats are numbers, and a penalty makes no infinity of them.
TEST(Sampling, LogitsAtTheEndsOfFloatAreDrawnFrom) {
  const float most = std::numeric_limits<float>::max();
  std::vector<float> values{-most, most, 0};
  EXPECT_EQ(first_draw(values, {}), 1);
  EXPECT_EQ(first_draw(values, {.repetition_penalty = 1e30}, {0, 1, 2}), 1);
  EXPECT_EQ(first_draw(values, {.repetition_penalty = 1e-30}, {0, 1, 2}), 1);
}

// A sequence may hold ids that have no logit, because no token stands behind them.
TEST(Sampling, AnIdWithoutALogitIsNotPenalised) {
  const SamplerOptions greedy{.repetition_penalty = 1.6, .temperature = 0};
  EXPECT_EQ(first_draw(logits, greedy, {1, 5, 99}), 3);
  EXPECT_EQ(first_draw({-3, -1, -2}, greedy, {1, 5, 99}), 1);
}

// Ids from `tokens` on, however likely, or not finite: rows that have no token.
TEST(Sampling, IdsWithoutATokenDoNotCount) {
  std::vector<float> wide = logits, rows;
  wide.insert(wide.end(), {100, std::numeric_limits<float>::quiet_NaN(), 7});
  std::vector<RowDraw> with;
  for (uint64_t number : even_draws({1, 2}, 100)) {
    rows.insert(rows.end(), wide.begin(), wide.end());
    with.push_back({{1, 2}, number});
  }
  const Array ids = test_backend()->sampling.draw(to_array(rows, {100, 8}), 5, {}, with);
  EXPECT_EQ(to_vector<int32_t>(ids), draws(logits, {}, {}, 100));
}

// What a model reads next, whatever the logits were.
TEST(Sampling, NextIsWhatWasDrawnAndNeverNoToken) {
  std::vector<float> rows(8, 0);
  rows[5] = std::numeric_limits<float>::infinity();
  const std::vector<RowDraw> with{{{1, 2}, 3}, {{1, 2}, 3}};
  Array next = to_array(std::vector<int32_t>{-7, -7}, {2, 1}, test_device());
  const Array ids = test_backend()->sampling.draw(to_array(rows, {2, 4}), 4, {}, with, &next);
  const auto drawn = to_vector<int32_t>(ids);
  EXPECT_EQ(drawn[1], -1);
  EXPECT_EQ(to_vector<int32_t>(next), (std::vector<int32_t>{drawn[0], 0}));
  ASSERT_TRUE(next.id_range());
  EXPECT_EQ(next.id_range()->least, 0);
  EXPECT_EQ(next.id_range()->below, 4);
}

// Each row is what it is alone, with options, numbers and histories of its own.
TEST(Sampling, ARowDoesNotDependOnTheOthers) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 2);
  constexpr int64_t B = 9, V = 500;
  std::vector<float> values(size_t(B * V));
  for (float& value : values) value = normal(random);
  const std::vector<int32_t> seen{3, 77, 499};
  std::vector<RowDraw> rows;
  for (int64_t b = 0; b < B; ++b)
    rows.push_back({{5, uint64_t(b % 4)}, uint64_t(b * 3), std::span(seen).first(size_t(b % 4))});
  const SamplerOptions options{.repetition_penalty = 1.5, .top_k = 100, .top_p = 0.9};
  const Array all = to_array(values, {B, V});
  const auto together = to_vector<int32_t>(test_backend()->sampling.draw(all, V, options, rows));
  for (int64_t b = 0; b < B; ++b) {
    const Array alone = test_backend()->sampling.draw(all.slice(b, b + 1), V, options,
                                                      std::span(rows).subspan(size_t(b), 1));
    EXPECT_EQ(to_vector<int32_t>(alone)[0], together[size_t(b)]);
  }
}

}  // namespace
}  // namespace folio
