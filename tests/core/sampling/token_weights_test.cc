#include "core/devices/token_weights.h"

#include <gtest/gtest.h>

#include <cmath>

namespace folio {
namespace {

TEST(TokenWeights, ArePowersOfTwoWithinFivePartsInABillion) {
  EXPECT_EQ(weight_at(0), top_weight);
  uint64_t before = top_weight;
  for (uint32_t distance = 1; distance <= 2u << 26; distance += 3) {
    const uint64_t weight = weight_at(distance);
    ASSERT_LE(weight, before) << distance;
    before = weight;
    if (distance % 1021 != 0) continue;
    const double exact = std::exp2(-double(distance) * 0x1p-26) * double(top_weight);
    ASSERT_NEAR(double(weight) / exact, 1, 5e-9) << distance;
  }
  for (uint32_t octave = 0; octave < 64; ++octave)
    EXPECT_EQ(weight_at(octave << 26), octave <= 40 ? top_weight >> octave : 0);
  EXPECT_EQ(weight_at(~uint32_t{0}), 0u);
}

TEST(TokenWeights, AreTheShareOfTheLikeliest) {
  for (double temperature : {0.1, 0.8, 1.0, 2.5})
    for (float logit : {12.5f, 12.4999f, 11.0f, 3.25f, -2.0f}) {
      const double exact = std::exp((double(logit) - 12.5) / temperature);
      const uint64_t weight = token_weight(logit, 12.5f, distance_scale(temperature));
      EXPECT_NEAR(double(weight) / double(top_weight), exact, 1e-6 * exact + 0x1p-40);
    }
}

TEST(TokenWeights, BordersAreRoundedUp) {
  EXPECT_EQ(least_weight(0), 0u);
  EXPECT_EQ(least_weight(0.5), top_weight / 2);
  EXPECT_EQ(least_weight(0x1p-41), 1u);
  EXPECT_EQ(least_weight(1), top_weight);
  EXPECT_EQ(enough_weight(0.5, 10), 5u);
  EXPECT_EQ(enough_weight(0.51, 10), 6u);
  EXPECT_EQ(enough_weight(0, 10), 1u);
  const uint64_t large = (uint64_t{1} << 62) + 1;
  EXPECT_LE(enough_weight(1 - 0x1p-53, large), large);
}

// Bit by bit.
TEST(TokenWeights, TheDrawnPlaceIsUTimesTheSumRoundedDown) {
  const RandomStream stream{3, 4};
  for (uint64_t number = 0; number < 1000; ++number) {
    const auto bits = stream.block(number);
    const uint64_t sum = uint64_t(stream.block(number + 5000)[2]) << 31 | bits[3];
    const uint64_t u = uint64_t(bits[0]) << 21 | bits[1] >> 11;
    uint64_t place = 0;
    for (int k = 0; k < 53; ++k) place = (place + (u >> k & 1) * sum) / 2;
    ASSERT_EQ(drawn_weight(stream, number, sum), place);
  }
}

}  // namespace
}  // namespace folio
