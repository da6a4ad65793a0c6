// Probabilities of tokens from logits, before a sampler's choices.
#include "sample/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>

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

}  // namespace
}  // namespace folio
