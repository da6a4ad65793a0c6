#include "sample/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

#include "core/check.h"

namespace folio {
namespace {

const std::vector<float> logits{1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

std::map<int32_t, double> frequencies(const SamplerOptions& options, int draws = 40000) {
  std::map<int32_t, double> count;
  for (int i = 0; i < draws; ++i)
    count[sample_token(logits, options, {1, 2}, uint64_t(i))] += 1.0 / draws;
  return count;
}

TEST(Sampler, TemperatureZeroTakesTheFirstOfTheMostLikely) {
  for (uint64_t i = 0; i < 20; ++i)
    EXPECT_EQ(sample_token(logits, {.temperature = 0}, {1, 2}, i), 1);
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

TEST(Sampler, TopKKeepsTheKMostLikely) {
  auto seen = frequencies({.temperature = 1, .top_k = 2});
  EXPECT_EQ(seen.size(), 2u);
  EXPECT_NEAR(seen[1], 0.5, 0.012);
  EXPECT_NEAR(seen[3], 0.5, 0.012);
  EXPECT_EQ(frequencies({.top_k = 1}).begin()->first, 1);
}

TEST(Sampler, TopPKeepsTheFewestThatReachP) {
  // Probabilities: 0.395 (1), 0.395 (3), 0.145 (2), 0.053 (0), 0.007 (4).
  EXPECT_EQ(frequencies({.top_p = 0.3}).size(), 1u);
  EXPECT_EQ(frequencies({.top_p = 0.7}).size(), 2u);
  EXPECT_EQ(frequencies({.top_p = 0.9}).size(), 3u);
  EXPECT_EQ(frequencies({.top_p = 1.0}).size(), 5u);
}

TEST(Sampler, LogitsThatAreNotFiniteAreAnError) {
  std::vector<float> bad(4, std::numeric_limits<float>::quiet_NaN());
  EXPECT_THROW(sample_token(bad, {}, {}, 0), Error);
}

}  // namespace
}  // namespace folio
