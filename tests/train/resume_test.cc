// A run that is killed, or stopped, and resumed ends in the same bytes as one that never was.
#include <gtest/gtest.h>
#include <signal.h>

#include <random>
#include <tuple>

#include "checkpoint/model_file.h"
#include "core/parallel.h"
#include "core/process/stop.h"
#include "tests/device.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

using State = std::map<std::string, std::vector<float>>;

State state_of(const CheckpointFile& file) {
  State state;
  for (const auto& [name, array] : file.tensors) state[name] = to_vector<float>(array);
  return state;
}

struct Killed {};

// Records losses by iteration; dies at `kill_at`, or asks for a stop there.
class Recorder : public Observer {
 public:
  Recorder(std::map<int64_t, double>& losses, int64_t kill_at, int64_t stop_at = -1)
      : losses_(losses), kill_at_(kill_at), stop_at_(stop_at) {}
  void stepped(const Run&, const Step& step) override {
    losses_[step.iter] = step.loss;
    if (step.iter == kill_at_) throw Killed{};
    if (step.iter == stop_at_) request_stop(SIGINT);
  }

 private:
  std::map<int64_t, double>& losses_;
  int64_t kill_at_, stop_at_;
};

struct Outcome {
  State state;
  std::map<int64_t, double> losses;
};

Outcome uninterrupted(TrainOptions options) {
  Outcome outcome;
  Recorder recorder(outcome.losses, -1);
  Run run(options, {});
  train(run, recorder);
  outcome.state = state_of(load(last_checkpoint(options.out_dir)));
  return outcome;
}

void resume(TrainOptions options, Outcome& outcome) {
  options.init_from = "resume";
  forget_stop();
  Recorder recorder(outcome.losses, -1);
  Run run(options, {});
  train(run, recorder);
  outcome.state = state_of(load(last_checkpoint(options.out_dir)));
}

// With nanoGPT's recipe, or with everything that keeps a state of its own.
TrainOptions recipe_options(const TemporaryFolder& folder, bool all) {
  TrainOptions options = tiny_options(folder);
  if (!all) return options;
  options.optimizer = "muon";
  options.muon_warmup_iters = 30;
  options.ema = 0.9;
  options.batches = "epochs";
  options.schedule = "wsd";
  options.weight_decay_schedule = "linear";
  return options;
}

class Resume : public testing::TestWithParam<std::tuple<int, bool>> {
 protected:
  void SetUp() override { set_parallel_threads(std::get<0>(GetParam())); }
  void TearDown() override { set_parallel_threads(0); }
  TrainOptions options_in(const TemporaryFolder& folder) const {
    return recipe_options(folder, std::get<1>(GetParam()));
  }
};

TEST_P(Resume, KilledAnywhereEndsInTheSameBytes) {
  TemporaryFolder folder;
  TrainOptions options = options_in(folder);
  Outcome expected = uninterrupted(options);
  std::mt19937 random(11);
  for (int kill = 0; kill < 20; ++kill) {
    options.out_dir = folder / fmt::format("killed-{}", kill);
    // A state is on the disk from the first evaluation after iteration 0 on.
    auto at = int64_t(options.eval_interval +
                      random() % uint64_t(options.max_iters - options.eval_interval));
    Outcome outcome;
    try {
      Recorder recorder(outcome.losses, at);
      folio::Run run(options, {});
      train(run, recorder);
      FAIL() << "not killed at " << at;
    } catch (const Killed&) {
    }
    resume(options, outcome);
    EXPECT_EQ(outcome.losses, expected.losses) << "killed at " << at;
    EXPECT_TRUE(outcome.state == expected.state) << "killed at " << at;
  }
}

TEST_P(Resume, StoppedByTheUserEndsInTheSameBytes) {
  TemporaryFolder folder;
  TrainOptions options = options_in(folder);
  Outcome expected = uninterrupted(options);
  options.out_dir = folder / "stopped";
  Outcome outcome;
  {
    Recorder recorder(outcome.losses, -1, 22);
    folio::Run run(options, {});
    EXPECT_EQ(train(run, recorder), Finish::interrupted);
    EXPECT_EQ(run.iter, 23);
  }
  resume(options, outcome);
  EXPECT_EQ(outcome.losses, expected.losses);
  EXPECT_TRUE(outcome.state == expected.state);
}

INSTANTIATE_TEST_SUITE_P(ThreadsAndRecipes, Resume,
                         testing::Combine(testing::Values(1, 2), testing::Bool()));

class ResumeRecipe : public testing::TestWithParam<bool> {};

TEST_P(ResumeRecipe, OneAndTwoThreadsGiveTheSameBytes) {
  TemporaryFolder folder;
  TrainOptions options = recipe_options(folder, GetParam());
  set_parallel_threads(1);
  Outcome one = uninterrupted(options);
  set_parallel_threads(2);
  Outcome two = uninterrupted(options);
  set_parallel_threads(0);
  EXPECT_EQ(one.losses, two.losses);
  EXPECT_TRUE(one.state == two.state);
}

// Every piece of the state matters: with any one of them spoilt the end differs.
TEST_P(ResumeRecipe, LeavingOutAnyPieceOfTheStateChangesTheEnd) {
  TemporaryFolder folder;
  TrainOptions options = recipe_options(folder, GetParam());
  Outcome expected = uninterrupted(options);
  options.out_dir = folder / "stopped";
  {
    Outcome outcome;
    Recorder recorder(outcome.losses, -1, 21);
    folio::Run run(options, {});
    train(run, recorder);
  }
  CheckpointFile whole = load(last_checkpoint(options.out_dir));
  auto ends_differently = [&](CheckpointFile file) {
    save(last_checkpoint(options.out_dir), file);
    Outcome outcome;
    resume(options, outcome);
    return !(outcome.state == expected.state);
  };
  EXPECT_FALSE(ends_differently(whole));
  for (const auto& [name, array] : whole.tensors) {
    CheckpointFile spoilt = whole;
    std::vector<float> values = to_vector<float>(array);
    for (float& value : values) value = value * 1.25f + 0.01f;
    spoilt.tensors[name] = to_array(values, array.shape());
    EXPECT_TRUE(ends_differently(spoilt)) << name;
  }
  for (const char* name : {"iter_num", "adamw/steps", "random/dropout/seed", "random/dropout/drawn",
                           "random/batches/seed", "random/batches/drawn", "random/batches/taken"}) {
    if (!whole.has(name)) continue;  // "taken", without epochs
    CheckpointFile spoilt = whole;
    spoilt.attributes[name] = whole.attribute<int64_t>(name) - 1;
    EXPECT_TRUE(ends_differently(spoilt)) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Recipes, ResumeRecipe, testing::Bool());

}  // namespace
}  // namespace folio
