// Probabilities of tokens from logits, before a sampler's choices.
#include "sample/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "core/check.h"

namespace folio {
namespace {

TEST(Logprobs, AreTheSoftmaxAndItsLikeliest) {
  std::vector<float> logits{0, std::log(4.0f), std::log(2.0f), std::log(1.0f)};
  auto all = token_probabilities(logits, 2, 3);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].token, 2);
  EXPECT_NEAR(all[0].probability, 0.25, 1e-6);
  EXPECT_EQ(all[1].token, 1);
  EXPECT_NEAR(all[1].probability, 0.5, 1e-6);
  EXPECT_EQ(all[2].token, 2);
  EXPECT_EQ(all[3].token, 0);
  EXPECT_EQ(token_probabilities(logits, 3, 0).size(), 1u);
  EXPECT_EQ(token_probabilities(logits, 3, 99).size(), 5u);
}

// Of many that are equally likely the first.
TEST(Logprobs, AlternativesAreTheBeginningOfASort) {
  std::mt19937 random(6);
  for (int64_t V : {1, 7, 1000, 5000}) {
    std::vector<float> logits;
    std::vector<int32_t> sorted;
    for (int64_t i = 0; i < V; ++i) {
      logits.push_back(float(random() % 300) / 30);
      sorted.push_back(int32_t(i));
    }
    std::ranges::stable_sort(
        sorted, [&](int32_t a, int32_t b) { return logits[size_t(a)] > logits[size_t(b)]; });
    for (int64_t k : {1, 2, 10, 999, 1000, 4000, 9000}) {
      auto all = token_probabilities(logits, 0, k);
      ASSERT_EQ(std::ssize(all), 1 + std::min(k, V));
      for (size_t i = 1; i < all.size(); ++i)
        ASSERT_EQ(all[i].token, sorted[i - 1]) << V << " " << k;
    }
  }
}

TEST(Logprobs, ALogitThatIsNotFiniteIsAnError) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (float wrong : {std::numeric_limits<float>::quiet_NaN(), -infinity, infinity}) {
    for (size_t at : {0, 1, 30, 63}) {
      std::vector<float> logits(64, 1);
      logits[at] = wrong;
      EXPECT_THROW(token_probabilities(logits, 5, 2), Error);
    }
  }
}

}  // namespace
}  // namespace folio
