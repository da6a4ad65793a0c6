#include "inspect/head_scores.h"

#include <gtest/gtest.h>

#include "tests/inspect/models.h"

namespace folio {
namespace {

// One layer and one head of 16 channels, whose embedding of position t is 10 along channel t, and
// whose query weights `query(channel of the query, channel of the input)` and key weights, the
// identity, decide where it looks.
template <class F>
HeadScore score_of(F query) {
  Gpt model(
      {.block_size = 12, .vocab_size = 11, .n_layer = 1, .n_head = 1, .n_embd = 16, .bias = false},
      test_device(), 1);
  model.parameters([&](const std::string& name, Parameter& p) {
    if (p.shape().rank() != 2) return;
    std::vector<float> values(size_t(p.shape().size()), 0.0f);
    const int64_t columns = p.dim(1);
    if (name == "transformer.wpe.weight")
      for (int64_t t = 0; t < p.dim(0); ++t) values[size_t(t * columns + t)] = 10;
    if (name.ends_with("c_attn.weight"))
      for (int64_t row = 0; row < 16; ++row)
        for (int64_t column = 0; column < 16; ++column) {
          values[size_t(row * columns + column)] = query(row, column);
          values[size_t((16 + row) * columns + column)] = row == column;
        }
    p.assign(to_array(values, p.shape()));
  });
  return head_scores(model, 11).at(0);
}

TEST(HeadScores, NameAHeadThatLooksAtThePreviousToken) {
  const HeadScore s = score_of([](int64_t q, int64_t x) { return x == q + 1 ? 8.0f : 0.0f; });
  EXPECT_GT(s.previous, 0.95);
  EXPECT_EQ(s.kind, "previous");
}

TEST(HeadScores, NameAHeadThatLooksAtTheFirstToken) {
  const HeadScore s = score_of([](int64_t q, int64_t x) { return q == 0 && x >= 6 ? 8.0f : 0.0f; });
  EXPECT_GT(s.first, 0.95);
  EXPECT_EQ(s.kind, "first");
}

// Halves of 6: the same token stands 6 before, the one that came after it 5 before.
TEST(HeadScores, NameHeadsThatLookBackIntoTheFirstHalf) {
  HeadScore s = score_of([](int64_t q, int64_t x) { return x == q + 6 ? 8.0f : 0.0f; });
  EXPECT_GT(s.same, 0.95);
  EXPECT_EQ(s.kind, "same");
  s = score_of([](int64_t q, int64_t x) { return x == q + 5 ? 8.0f : 0.0f; });
  EXPECT_GT(s.induction, 0.95);
  EXPECT_EQ(s.kind, "induction");
}

TEST(HeadScores, OfEvenAttentionAreEvenAndNone) {
  const HeadScore s = score_of([](int64_t, int64_t) { return 0.0f; });
  double expected = 0;
  for (int t = 6; t < 12; ++t) expected += 1.0 / (t + 1) / 6;
  for (double score : {s.previous, s.same, s.first, s.induction})
    EXPECT_NEAR(score, expected, 1e-6);
  EXPECT_EQ(s.kind, "none");
}

TEST(HeadScores, TheProbeFitsTheModel) {
  EXPECT_EQ(probe_half({.block_size = 1024}), 25);
  EXPECT_EQ(probe_half({.block_size = 12}), 6);
  EXPECT_EQ(probe_half({.block_size = 64, .attention_window = 9}), 8);
  for (const auto& [name, config] : inspected_models()) {
    Gpt model(config, test_device());
    draw(model);
    const std::vector<HeadScore> scores = head_scores(model, 7);
    ASSERT_EQ(scores.size(), size_t(config.n_layer * config.n_head));
    EXPECT_EQ(scores.back().layer, 1);
    EXPECT_EQ(scores.back().head, config.n_head - 1);
    EXPECT_EQ(head_scores(model, 7)[0].previous, scores[0].previous) << "the same probe each time";
  }
}

}  // namespace
}  // namespace folio
