// early_stop: where a run ends, and that a run which was stopped on the way ends there too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "checkpoint/model_file.h"
#include "core/process/stop.h"
#include "data/files/files.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

// Keeps the evaluations, each iteration's last, and asks for a stop after one step.
struct Watcher : Observer {
  std::map<int64_t, double> val_losses;
  int64_t stop_after = -1;
  void evaluated(const folio::Run& run, const Losses& losses) override {
    val_losses[run.iter] = losses.val;
  }
  void stepped(const folio::Run&, const Step& step) override {
    if (step.iter == stop_after) request_stop(SIGINT);
  }
};

class EarlyStop : public testing::Test {
 protected:
  EarlyStop() {
    forget_stop();
    options.learning_rate = 0;  // what is left of the val loss is the noise of its batches
    options.eval_interval = 3;
    options.max_iters = 300;
    options.early_stop = 4;
  }
  ~EarlyStop() override { forget_stop(); }
  Finish run_from(const std::string& init_from) {
    forget_stop();
    options.init_from = init_from;
    folio::Run run(options, {{"early_stop", "command line"}});
    Finish finish = train(run, watcher);
    iter = run.iter;
    return finish;
  }
  std::string last_bytes() const { return read_file(last_checkpoint(options.out_dir).string()); }
  // The first evaluation that is the patience-th in a row without a new least loss.
  int64_t expected_end() const {
    double best = std::numeric_limits<double>::infinity();
    int64_t without = 0;
    for (auto [at, loss] : watcher.val_losses) {
      if (at == 0) continue;
      without = loss < best ? 0 : without + 1;
      best = std::min(best, loss);
      if (without == options.early_stop) return at;
    }
    return -1;
  }

  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  Watcher watcher;
  int64_t iter = 0;
};

TEST_F(EarlyStop, EndsAtTheEvaluationThatExhaustsIt) {
  ASSERT_EQ(run_from("scratch"), Finish::early_stop);
  EXPECT_EQ(iter, expected_end());
  EXPECT_EQ(watcher.val_losses.rbegin()->first, iter);
  const CheckpointFile last = load(last_checkpoint(options.out_dir));
  EXPECT_EQ(last.attribute<int64_t>("iter_num"), iter);
  const int64_t best = last.attribute<int64_t>("best_iter");
  EXPECT_EQ(best, iter - options.early_stop * options.eval_interval);
  EXPECT_EQ(load(best_checkpoint(options.out_dir)).attribute<int64_t>("iter_num"), best);
}

TEST_F(EarlyStop, ZeroIsNever) {
  options.early_stop = 0;
  options.max_iters = 60;
  EXPECT_EQ(run_from("scratch"), Finish::done);
  EXPECT_EQ(iter, 61);
}

TEST_F(EarlyStop, ARunThatWasStoppedAnywhereEndsInTheSameBytes) {
  ASSERT_EQ(run_from("scratch"), Finish::early_stop);
  const int64_t end = iter;
  const std::string expected = last_bytes();
  for (int64_t stop_after = 1; stop_after < end; stop_after += 4) {
    std::filesystem::remove_all(options.out_dir);
    watcher.stop_after = stop_after;
    ASSERT_EQ(run_from("scratch"), Finish::interrupted);
    watcher.stop_after = -1;
    ASSERT_EQ(run_from("resume"), Finish::early_stop);
    EXPECT_EQ(iter, end) << "stopped after " << stop_after;
    EXPECT_TRUE(last_bytes() == expected) << "stopped after " << stop_after;
  }
}

TEST_F(EarlyStop, AnEndedRunEndsAgainUnlessItIsGivenMorePatience) {
  ASSERT_EQ(run_from("scratch"), Finish::early_stop);
  const int64_t end = iter;
  const std::string before = last_bytes();
  ASSERT_EQ(run_from("resume"), Finish::early_stop);
  EXPECT_EQ(iter, end);
  EXPECT_TRUE(last_bytes() == before);
  options.early_stop = 5;
  run_from("resume");
  EXPECT_GE(iter, end + options.eval_interval);
}

TEST_F(EarlyStop, AnOlderFoliosCheckpointCountsFromWhereItIs) {
  ASSERT_EQ(run_from("scratch"), Finish::early_stop);
  const int64_t end = iter;
  CheckpointFile file = load(last_checkpoint(options.out_dir));
  ASSERT_EQ(file.attributes.erase("best_iter"), 1u);
  save(last_checkpoint(options.out_dir), file);
  run_from("resume");
  EXPECT_GE(iter, end + options.early_stop * options.eval_interval);
}

}  // namespace
}  // namespace folio
