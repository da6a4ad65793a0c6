// What the host does beside a draw: whose tokens a sequence holds, and what it says of a row that
// cannot be drawn from.
#include "sample/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "tests/device.h"
#include "tests/message.h"

namespace folio {
namespace {

TEST(SeenTokens, AreDistinct) {
  SeenTokens seen;
  seen.add(std::vector<int32_t>{5, 0, 5});
  seen.add(std::vector<int32_t>{0, 50000, 5});
  EXPECT_EQ(std::vector<int32_t>(seen.distinct().begin(), seen.distinct().end()),
            (std::vector<int32_t>{5, 0, 50000}));
}

TEST(DrawTokens, TheFirstLogitThatIsNotFiniteIsNamed) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (float wrong : {std::numeric_limits<float>::quiet_NaN(), -infinity, infinity}) {
    std::vector<float> values(3 * 8, 1);
    values[8 + 5] = wrong;
    values[8 + 6] = infinity;
    const std::vector<RowDraw> rows{{{1, 5}, 40}, {{1, 6}, 41}, {{1, 7}, 42}};
    EXPECT_THAT(message_of([&] {
                  draw_tokens(to_array(values, {3, 8}), 8, {}, rows);
                }),
                testing::StartsWith(
                    fmt::format("sample 7, token 42: the model gives id 5 the logit {}", wrong)));
    // Rows of the model without a token may hold anything.
    EXPECT_EQ(draw_tokens(to_array(values, {3, 8}), 5, {}, rows).size(), 3u);
  }
}

TEST(DrawTokens, ShapesThatDoNotFitAreNamed) {
  const std::vector<RowDraw> rows(2);
  const Array logits = zeros({2, 1, 4}, DType::f32);
  EXPECT_EQ(draw_tokens(logits, 4, {}, rows).size(), 2u);
  EXPECT_THAT(message_of([&] { draw_tokens(logits, 5, {}, rows); }),
              testing::HasSubstr("2 draws of 5 tokens from logits float32 [2, 1, 4]"));
  EXPECT_THROW(draw_tokens(logits, 0, {}, rows), Error);
  EXPECT_THROW(draw_tokens(logits, 4, {}, std::span(rows).first(1)), Error);
  EXPECT_THROW(draw_tokens(zeros({2, 4}, DType::bf16), 4, {}, rows), Error);
}

}  // namespace
}  // namespace folio
