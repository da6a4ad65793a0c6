#include "sample/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "core/check.h"
#include "sample/logprobs.h"
#include "tests/message.h"

namespace folio {
namespace {

const std::vector<float> logits{1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

std::map<int32_t, double> frequencies(const SamplerOptions& options,
                                      const std::vector<int32_t>& seen = {}, int draws = 40000) {
  Sampler sampler(options);
  std::map<int32_t, double> count;
  for (int i = 0; i < draws; ++i) count[sampler(logits, seen, {1, 2}, uint64_t(i))] += 1.0 / draws;
  return count;
}

TEST(Sampler, TemperatureZeroTakesTheFirstOfTheMostLikely) {
  Sampler sampler({.temperature = 0});
  for (uint64_t i = 0; i < 20; ++i) EXPECT_EQ(sampler(logits, {}, {1, 2}, i), 1);
}

TEST(Sampler, DrawsWithTheSoftmaxProbabilities) {
  for (double temperature : {0.5, 1.0, 2.0}) {
    auto seen = frequencies({.temperature = temperature});
    double sum = 0;
    for (float logit : logits) sum += std::exp(logit / temperature);
    for (size_t v = 0; v < logits.size(); ++v)
      EXPECT_NEAR(seen[int32_t(v)], std::exp(logits[v] / temperature) / sum, 0.012) << v;
  }
}

TEST(Sampler, TheColdestAndTheHottestTemperaturesAreFinite) {
  EXPECT_EQ(frequencies({.temperature = 1e-300}).size(), 2u);  // 1 and 3 are equally likely
  auto even = frequencies({.temperature = 1e300});
  for (int32_t v = 0; v < 5; ++v) EXPECT_NEAR(even[v], 0.2, 0.012);
}

TEST(Sampler, TopKKeepsTheKMostLikely) {
  auto seen = frequencies({.temperature = 1, .top_k = 2});
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_NEAR(seen[1], 0.5, 0.012);
  EXPECT_NEAR(seen[3], 0.5, 0.012);
  EXPECT_EQ(frequencies({.top_k = 1}).begin()->first, 1);
  EXPECT_EQ(frequencies({.top_k = 9}).size(), 5u);
}

TEST(Sampler, TopPKeepsTheFewestThatReachP) {
  // Probabilities: 0.395 (1), 0.395 (3), 0.145 (2), 0.053 (0), 0.007 (4).
  EXPECT_EQ(frequencies({.top_p = 0.3}).size(), 1u);
  EXPECT_EQ(frequencies({.top_p = 0.7}).size(), 2u);
  EXPECT_EQ(frequencies({.top_p = 0.9}).size(), 3u);
  EXPECT_EQ(frequencies({.top_p = 1.0}).size(), 5u);
  // Of the two that top_k leaves, 0.5 each, one reaches 0.45.
  EXPECT_EQ(frequencies({.top_k = 2, .top_p = 0.45}).size(), 1u);
}

TEST(Sampler, MinPDropsWhatIsFarBelowTheLikeliest) {
  // Shares of the likeliest: 1 (1), 1 (3), 0.368 (2), 0.135 (0), 0.018 (4).
  EXPECT_EQ(frequencies({.min_p = 0.01}).size(), 5u);
  EXPECT_EQ(frequencies({.min_p = 0.1}).size(), 4u);
  EXPECT_EQ(frequencies({.min_p = 0.3}).size(), 3u);
  EXPECT_EQ(frequencies({.min_p = 0.5}).size(), 2u);
  EXPECT_EQ(frequencies({.temperature = 3, .min_p = 0.5}).size(), 4u);  // after temperature
}

// Hugging Face's RepetitionPenaltyLogitsProcessor: a positive logit is divided, another multiplied.
TEST(Sampler, RepetitionPenaltyAppliesOnceToEachSeenToken) {
  Sampler greedy({.repetition_penalty = 1.6, .temperature = 0});
  EXPECT_EQ(greedy(logits, {}, {1, 2}, 0), 1);
  EXPECT_EQ(greedy(logits, std::vector<int32_t>{1}, {1, 2}, 0), 3);
  EXPECT_EQ(greedy(logits, std::vector<int32_t>{3, 1}, {1, 2}, 0), 2);
  std::vector<double> expected{1, 3 / 1.6, 2, 3, -1.6};
  double sum = 0;
  for (double logit : expected) sum += std::exp(logit);
  auto drawn = frequencies({.repetition_penalty = 1.6, .temperature = 1}, {1, 4}, 200000);
  for (int32_t v = 0; v < 5; ++v)
    EXPECT_NEAR(drawn[v], std::exp(expected[size_t(v)]) / sum, 0.002) << v;
}

TEST(SeenTokens, AreDistinct) {
  SeenTokens seen;
  seen.add(std::vector<int32_t>{5, 0, 5});
  seen.add(std::vector<int32_t>{0, 50000, 5});
  EXPECT_EQ(std::vector<int32_t>(seen.distinct().begin(), seen.distinct().end()),
            (std::vector<int32_t>{5, 0, 50000}));
}

TEST(Sampler, LogitsThatAreNotFiniteAreAnError) {
  std::vector<float> bad(4, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THROW(Sampler({})(bad, {}, {}, 0), Error);
  bad.assign(4, -std::numeric_limits<float>::infinity());
  EXPECT_THROW(Sampler({})(bad, {}, {}, 0), Error);
}

// One of many, wherever it stands and however tokens are chosen: the others look healthy.
TEST(Sampler, OneLogitThatIsNotFiniteIsNamed) {
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
                                                          {.repetition_penalty = 2}}) {
        Sampler sampler(o);
        std::vector<int32_t> seen{int32_t(at), 5};
        EXPECT_THAT(message_of([&] {
                      sampler(values, seen, {1, 6}, 41);
                    }),
                    testing::StartsWith(fmt::format(
                        "sample 7, token 42: the model gives id {} the logit {}", at, wrong)));
      }
      EXPECT_THROW(token_probabilities(values, 5, 2), Error);
    }
  }
}

// The largest and smallest floats are numbers, and a penalty makes no infinity of them.
TEST(Sampler, LogitsAtTheEndsOfFloatAreDrawnFrom) {
  const float most = std::numeric_limits<float>::max();
  std::vector<float> values{-most, most, 0};
  EXPECT_EQ(Sampler({})(values, {}, {}, 0), 1);
  std::vector<int32_t> all{0, 1, 2};
  EXPECT_EQ(Sampler({.repetition_penalty = 1e30})(values, all, {}, 0), 1);
  EXPECT_EQ(Sampler({.repetition_penalty = 1e-30})(values, all, {}, 0), 1);
}

// A sequence may hold ids that have no logit, because no token stands behind them.
TEST(Sampler, AnIdWithoutALogitIsNotPenalised) {
  std::vector<int32_t> seen{1, 5, 99};
  Sampler greedy({.repetition_penalty = 1.6, .temperature = 0});
  EXPECT_EQ(greedy(logits, seen, {1, 2}, 0), 3);
}

// A full sort, and Hugging Face's processors one after the other as their documentation gives them:
// the tokens that may be drawn.
std::vector<int32_t> kept_by_sorting(std::vector<float> values, const SamplerOptions& o) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(
      order, [&](int32_t a, int32_t b) { return values[size_t(a)] > values[size_t(b)]; });
  if (o.top_k > 0) order.resize(std::min(order.size(), size_t(o.top_k)));
  std::vector<double> weights;
  for (int32_t id : order)
    weights.push_back(
        std::exp((double(values[size_t(id)]) - values[size_t(order[0])]) / o.temperature));
  double sum = std::accumulate(weights.begin(), weights.end(), 0.0), kept = 0;
  size_t n = 0;
  while (n < order.size() && (n == 0 || kept < o.top_p * sum)) kept += weights[n++];
  while (n > 1 && weights[n - 1] < o.min_p) --n;
  order.resize(n);
  std::ranges::sort(order);
  return order;
}

// From flat to peaked. Every token that may be drawn is drawn when its share of
// the unit interval is hit: the support is what a full sort leaves.
TEST(Sampler, PartialSelectionIsThatOfAFullSort) {
  std::mt19937 random(5);
  for (double spread : {0.01, 1.0, 4.0}) {
    std::vector<float> values(301);
    std::normal_distribution<float> normal(0, float(spread));
    for (float& value : values) value = std::round(normal(random) * 64) / 64;  // with ties
    for (SamplerOptions o : std::vector<SamplerOptions>{{.top_k = 1},
                                                        {.top_k = 40},
                                                        {.top_k = 299},
                                                        {.top_p = 0.1},
                                                        {.top_p = 0.9},
                                                        {.temperature = 0.5, .top_p = 0.999},
                                                        {.top_k = 100, .top_p = 0.5},
                                                        {.temperature = 2, .min_p = 0.05},
                                                        {.top_p = 0.95, .min_p = 0.1}}) {
      std::vector<int32_t> kept = kept_by_sorting(values, o);
      Sampler sampler(o);
      std::map<int32_t, int> drawn;
      int draws = int(20 * kept.size()) + 200;
      for (int i = 0; i < draws; ++i) ++drawn[sampler(values, {}, {3, 4}, uint64_t(i))];
      for (auto [id, n] : drawn)
        ASSERT_TRUE(std::ranges::binary_search(kept, id))
            << "top_k " << o.top_k << ", top_p " << o.top_p << ", min_p " << o.min_p;
      double sum = 0, seen = 0;
      for (int32_t id : kept) sum += std::exp(double(values[size_t(id)]) / o.temperature);
      for (auto [id, n] : drawn) seen += std::exp(double(values[size_t(id)]) / o.temperature);
      EXPECT_GT(seen / sum, 0.95) << "top_k " << o.top_k << ", top_p " << o.top_p;
    }
  }
}

TEST(TopK, IsTheBeginningOfASort) {
  std::mt19937 random(6);
  for (int64_t V : {1, 7, 1000, 5000}) {
    std::vector<float> values;
    for (int64_t i = 0; i < V; ++i) values.push_back(float(random() % 300));
    std::vector<Candidate> sorted, got;
    for (int64_t i = 0; i < V; ++i) sorted.push_back({int32_t(i), values[size_t(i)], 0});
    std::ranges::sort(sorted, likelier);
    for (int64_t k : {1, 2, 10, 999, 1000, 4000, 9000}) {
      top_k(values, k, got);
      std::ranges::sort(got, likelier);
      ASSERT_EQ(int64_t(got.size()), std::min(k, V));
      for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i].id, sorted[i].id) << V << " " << k;
    }
  }
}

}  // namespace
}  // namespace folio
