// The curves of a run in memory, and what is said of a val loss that rises.
#include "commands/train/run_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "commands/train/loss_advice.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::SizeIs;

TEST(RunHistory, ALongRunIsThinnedToItsMeans) {
  RunHistory history;
  const int64_t rows = 100'001;
  for (int64_t i = 0; i < rows; ++i) {
    LogRow row{.iter = 10 * i, .step_loss = double(i), .seconds = double(i) / 2};
    if (i % 1000 == 0) row.update_ratio = 0.25;
    history.add(row);
  }
  const std::vector<LogRow> steps = history.steps();
  EXPECT_LE(steps.size(), 2000u);
  EXPECT_GT(steps.size(), 1000u);
  EXPECT_EQ(steps.back().iter, 10 * (rows - 1));
  const int64_t each = steps[0].iter / 10 + 1;  // rows in the first
  for (size_t i = 0; i + 1 < steps.size(); ++i) {
    const double last = double((int64_t(i) + 1) * each - 1);
    ASSERT_EQ(steps[i].iter, 10 * int64_t(last));
    ASSERT_DOUBLE_EQ(*steps[i].step_loss, last - double(each - 1) / 2);
    ASSERT_EQ(*steps[i].seconds, last / 2);
    ASSERT_EQ(steps[i].update_ratio.value_or(0.25), 0.25) << "of those that have one";
  }
  EXPECT_EQ(history.seconds(), double(rows - 1) / 2);
}

TEST(RunHistory, FewRowsStayAsTheyAre) {
  RunHistory history;
  for (int64_t i = 0; i < 2000; ++i) history.add({.iter = i, .step_loss = 1.0});
  EXPECT_THAT(history.steps(), SizeIs(2000));
}

TEST(RunHistory, TheBestIsTheLeastValLossAfterIteration0) {
  RunHistory history;
  EXPECT_EQ(history.best(), nullptr);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (auto [iter, loss] : {std::pair{0, 1.0}, {250, nan}, {500, 3.0}, {750, 2.0}, {1000, 2.5}})
    history.add({.iter = iter, .train_loss = loss, .val_loss = loss});
  ASSERT_NE(history.best(), nullptr);
  EXPECT_EQ(history.best()->iter, 750);
  EXPECT_THAT(history.evaluations(), SizeIs(5));
}

std::vector<std::string> said(const std::vector<Losses>& losses) {
  LossAdvice advice;
  std::vector<std::string> all;
  for (size_t i = 0; i < losses.size(); ++i)
    all.push_back(advice.after(int64_t(i) * 100, losses[i]));
  return all;
}

TEST(LossAdvice, IsGivenOnceAfterThreeRises) {
  const auto sentences = said({{4, 4}, {2, 2.5}, {1.5, 2.6}, {1.2, 2.7}, {1.0, 2.8}, {0.9, 2.9}});
  for (size_t i : {0, 1, 2, 3, 5}) EXPECT_EQ(sentences[i], "") << i;
  EXPECT_THAT(sentences[4], AllOf(HasSubstr("risen since iteration 100, where it was 2.5000"),
                                  HasSubstr("while the train loss falls"), HasSubstr("dropout"),
                                  HasSubstr("--early_stop")));
}

TEST(LossAdvice, NoiseIsNoRise) {
  for (const std::string& sentence :
       said({{4, 4}, {2, 2.5}, {2, 2.6}, {2, 2.55}, {2, 2.6}, {2, 2.7}, {2, 2.4}, {2, 2.5}}))
    EXPECT_EQ(sentence, "");
}

TEST(LossAdvice, ARisingTrainLossIsAnotherMatter) {
  EXPECT_THAT(said({{4, 4}, {2, 2.5}, {2.1, 2.6}, {2.2, 2.7}, {2.3, 2.8}}).back(),
              AllOf(HasSubstr("the train loss with it"), HasSubstr("learning_rate")));
}

TEST(LossAdvice, ANewBestIsWatchedAnew) {
  const auto sentences =
      said({{2, 2}, {2, 2.1}, {2, 2.2}, {2, 2.3}, {2, 1.9}, {2, 2.1}, {2, 2.2}, {2, 2.3}});
  EXPECT_THAT(sentences[3], HasSubstr("iteration 0,"));
  EXPECT_THAT(sentences[7], HasSubstr("iteration 400,"));
}

}  // namespace
}  // namespace folio
