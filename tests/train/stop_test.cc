// Stopping at any point of an iteration or an evaluation: what was begun leaves no trace.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <random>

#include "checkpoint/model_file.h"
#include "core/parallel.h"
#include "core/process/stop.h"
#include "data/files/files.h"
#include "tests/data/file_size_limit.h"
#include "tests/message.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

// Does what a test wants at the end of an iteration, and keeps what it was told.
class Watcher : public Observer {
 public:
  std::function<void(int64_t iter)> after_step = [](int64_t) {};
  std::vector<std::string> saved_files, failures;
  std::vector<double> losses, norms;

  void stepped(const Run&, const Step& step) override {
    losses.push_back(step.loss);
    norms.push_back(step.grad_norm);
    after_step(step.iter);
  }
  void saved(const std::filesystem::path& path) override {
    saved_files.push_back(path.filename().string());
  }
  void not_saved(const std::exception& error) override { failures.push_back(error.what()); }
};

class Stopping : public testing::Test {
 protected:
  void SetUp() override { forget_stop(); }
  void TearDown() override {
    forget_stop();
    set_parallel_threads(0);
  }

  std::filesystem::path last() const { return last_checkpoint(options.out_dir); }
  std::string last_bytes() const { return read_file(last().string()); }
  Finish run_from(const std::string& init_from) {
    options.init_from = init_from;
    folio::Run run(options, {});
    return train(run, watcher);
  }
  // Whatever was trained there goes.
  void clear() { std::filesystem::remove_all(options.out_dir); }

  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  Watcher watcher;
};

TEST_F(Stopping, AtAnyCheckItResumesToTheBytesOfAnUndisturbedRun) {
  options.max_iters = 12;
  options.eval_interval = 4;
  std::mt19937 random(3);
  for (int threads : {1, 2}) {
    set_parallel_threads(threads);
    clear();
    ASSERT_EQ(run_from("scratch"), Finish::done);
    std::string expected = last_bytes();
    int stopped = 0;
    for (int i = 0; i < 25; ++i) {
      clear();
      request_stop_at_check(i % 2 ? SIGINT : SIGTERM, 1 + int(random() % 5000));
      if (run_from("scratch") == Finish::interrupted) ++stopped;
      forget_stop();
      ASSERT_EQ(run_from("resume"), Finish::done);
      EXPECT_TRUE(last_bytes() == expected) << "stop " << i << ", threads " << threads;
    }
    EXPECT_GE(stopped, 20) << "nearly every one of them met the run";
  }
}

// A long accumulation is not waited for: the stop comes in the first of its micro-batches.
TEST_F(Stopping, DropsTheIterationAtHandWithItsDraws) {
  options.gradient_accumulation_steps = 8;
  options.max_iters = 5;
  options.eval_interval = 100;
  ASSERT_EQ(run_from("scratch"), Finish::done);
  std::string expected = last_bytes();
  clear();
  watcher.after_step = [](int64_t iter) {
    if (iter == 2) request_stop_at_check(SIGHUP, 2);  // the first is the loop's own
  };
  ASSERT_EQ(run_from("scratch"), Finish::interrupted);
  EXPECT_EQ(load(last()).attribute<int64_t>("iter_num"), 3);
  forget_stop();
  ASSERT_EQ(run_from("resume"), Finish::done);
  EXPECT_TRUE(last_bytes() == expected);
}

TEST_F(Stopping, BeforeTheFirstIterationThereIsAStateToGoOnFrom) {
  options.max_iters = 5;
  ASSERT_EQ(run_from("scratch"), Finish::done);
  std::string expected = last_bytes();
  clear();
  request_stop_at_check(SIGINT, 3);  // in the evaluation of iteration 0
  ASSERT_EQ(run_from("scratch"), Finish::interrupted);
  EXPECT_EQ(load(last()).attribute<int64_t>("iter_num"), 0);
  forget_stop();
  ASSERT_EQ(run_from("resume"), Finish::done);
  EXPECT_TRUE(last_bytes() == expected);
}

TEST_F(Stopping, BeforeTrainingNothingIsTouched) {
  options.init_from = "scratch";
  folio::Run run(options, {});
  request_stop(SIGINT);
  EXPECT_THROW(train(run, watcher), Interrupted);
  EXPECT_FALSE(std::filesystem::exists(options.out_dir));
}

TEST_F(Stopping, ASaveOnRequestGoesOn) {
  options.max_iters = 6;
  options.eval_interval = 100;
  watcher.after_step = [&](int64_t iter) {
    EXPECT_EQ(std::filesystem::exists(last()), iter > 3) << iter;
    if (iter == 3) request_save();
  };
  ASSERT_EQ(run_from("scratch"), Finish::done);
  EXPECT_THAT(watcher.saved_files, ElementsAre("last.h5"));
  EXPECT_EQ(watcher.losses.size(), 7u);
}

TEST_F(Stopping, AFullDiskEndsNoRunBeforeItsEnd) {
  options.max_iters = 14;
  std::optional<FileSizeLimit> full;
  std::string before;
  watcher.after_step = [&](int64_t iter) {
    if (iter == 5) {  // after the save of iteration 4, before those of 8 and 12
      before = last_bytes();
      full.emplace(1000);
    }
    if (iter == 13) {
      EXPECT_TRUE(last_bytes() == before);
      full.reset();
    }
  };
  EXPECT_EQ(run_from("scratch"), Finish::done);
  EXPECT_THAT(watcher.failures, Each(AllOf(HasSubstr("cannot save"), HasSubstr(".h5"))));
  EXPECT_GE(watcher.failures.size(), 2u);
  EXPECT_EQ(load(last()).attribute<int64_t>("iter_num"), 15);
  CheckpointFile best = load(best_checkpoint(options.out_dir));
  EXPECT_EQ(load(last()).attribute<double>("best_val_loss"), best.attribute<double>("val_loss"))
      << "a loss is the best only once its model is saved";
}

TEST_F(Stopping, DamagedDataInTheMiddleSavesWhatIsDone) {
  options.max_iters = 30;
  options.eval_interval = 100;
  std::string tokens = (std::filesystem::path(options.data_dir) / "tiny/train.bin").string();
  watcher.after_step = [&](int64_t iter) {
    if (iter != 4) return;
    // In place, as a mapping sees it: ids that no vocabulary has.
    int fd = open(tokens.c_str(), O_WRONLY);
    std::string bytes(size_t(std::filesystem::file_size(tokens)), '\xff');
    write_all(fd, bytes, tokens);
    close(fd);
  };
  EXPECT_THAT(message_of([&] { run_from("scratch"); }), HasSubstr("train.bin"));
  EXPECT_EQ(load(last()).attribute<int64_t>("iter_num"), 5);
}

TEST_F(Stopping, ALossThatIsNotFiniteNamesOnlyAStateThatIsThere) {
  options.learning_rate = 1e30;
  options.grad_clip = 0;
  options.decay_lr = false;
  options.eval_interval = 1000;
  EXPECT_THAT(message_of([&] { run_from("scratch"); }), HasSubstr("Nothing was saved before."));
  EXPECT_FALSE(std::filesystem::exists(last()));
  watcher.after_step = [](int64_t iter) {
    if (iter == 0) request_save();
  };
  EXPECT_THAT(message_of([&] { run_from("scratch"); }),
              HasSubstr("last.h5 has the state of iteration 1."));
}

// What an update changes, by name: weights, the optimiser's state, averages, the count of updates.
std::map<std::string, std::vector<float>> state_of(folio::Run& run) {
  std::map<std::string, std::vector<float>> all;
  run.optimizer->make_state();
  run.model->parameters([&](const std::string& name, Parameter& parameter) {
    all[name] = to_vector<float>(parameter.array());
  });
  for (const auto& [name, values] : run.optimizer->state) all[name] = to_vector<float>(values);
  if (run.average)
    for (const auto& [name, values] : run.average->values)
      all["average of " + name] = to_vector<float>(values);
  all["steps"] = {float(run.optimizer->steps)};
  return all;
}

// The last layer multiplies zeros by numbers near the largest: the loss does not see them, the
// gradient of what made the zeros does.
TEST_F(Stopping, AGradientThatIsNotFiniteIsNotApplied) {
  struct Overflowing : Observer {
    void start(folio::Run& run) override {
      run.model->parameters([&](const std::string& name, Parameter& parameter) {
        auto fill = [&](float value) {
          std::vector<float> values(size_t(parameter.array().size()), value);
          parameter.assign(to_array(values, parameter.shape()));
        };
        if (name.ends_with("h.1.mlp.c_fc.weight")) fill(0);
        if (name.ends_with("h.1.mlp.c_proj.weight")) fill(3e38f);
        if (name.ends_with("ln_f.weight")) fill(1000);
      });
      before = state_of(run);
    }
    std::map<std::string, std::vector<float>> before;
  };
  options.eval_interval = 1000;
  options.model.dropout = 0;
  for (auto [grad_clip, log_interval] : {std::pair{1.0, 1000}, {0.0, 1}, {0.0, 1000}}) {
    options.grad_clip = grad_clip, options.log_interval = log_interval;
    folio::Run run(options, {});
    run.iter = 1;  // no evaluation, and no line of the log unless each has one
    Overflowing overflowing;
    EXPECT_THAT(message_of([&] { train(run, overflowing); }),
                AllOf(HasSubstr("iteration 1: the gradient's norm is "),
                      HasSubstr("stopped before the update. Every parameter is finite; on the way "
                                "back from the loss, the first gradient that is not is that of "
                                "transformer.h.1.mlp.c_fc.weight. Nothing was saved before.")));
    EXPECT_FALSE(std::filesystem::exists(last()));
    EXPECT_TRUE(state_of(run) == overflowing.before);
  }
}

// Of several, the one that the forward pass comes to first.
TEST_F(Stopping, AParameterThatIsNotFiniteIsNamed) {
  struct Broken : Observer {
    void start(folio::Run& run) override {
      run.model->parameters([&](const std::string& name, Parameter& parameter) {
        if (name != "transformer.h.1.ln_1.weight" && name != "transformer.ln_f.weight") return;
        std::vector<float> values(size_t(parameter.array().size()), 1.0f);
        values.back() = std::numeric_limits<float>::quiet_NaN();
        parameter.assign(to_array(values, parameter.shape()));
      });
    }
  } broken;
  for (int64_t first : {0, 1}) {  // in an evaluation, in a step
    folio::Run run(options, {});
    run.iter = first;
    EXPECT_THAT(message_of([&] { train(run, broken); }),
                HasSubstr("The first parameter that is not finite is transformer.h.1.ln_1.weight. "
                          "Nothing was saved before."));
  }
}

// Of one micro-batch of the iteration, the first or the last: the figures of the others are finite.
TEST_F(Stopping, ALossThatIsNotFiniteIsNotApplied) {
  options.gradient_accumulation_steps = 2;
  options.grad_clip = 0;
  options.model.dropout = 0;
  for (int64_t bad : {0, 1}) {
    folio::Run run(options, {});
    accumulate_gradients(run);
    const auto before = state_of(run);
    std::vector<float> losses{1, 1};
    losses[size_t(bad)] = std::numeric_limits<float>::infinity();
    update(run, to_array(losses, {2}));
    auto after = state_of(run);
    EXPECT_EQ(after["steps"][0], before.at("steps")[0] + 1);  // which train_step takes back
    after["steps"] = before.at("steps");
    EXPECT_TRUE(after == before);
    clear();
  }
}

// The run in memory is the one that was left by the last iteration that was finished.
TEST_F(Stopping, ADivergedIterationLeavesTheStateBeforeIt) {
  options.learning_rate = 1e30;
  options.decay_lr = false;
  options.eval_interval = 1000;
  for (std::string dtype : {"float32", "bfloat16"}) {
    options.dtype = dtype;
    options.ema = 0.9;
    folio::Run run(options, {});
    run.iter = 1;
    std::map<std::string, std::vector<float>> before;
    BatchSampler::Place batches;
    Generator masks;
    int64_t done = -1;
    watcher.after_step = [&](int64_t iter) {
      before = state_of(run);
      batches = run.batches.place(), masks = run.model->context().random;
      done = iter;
    };
    EXPECT_THAT(message_of([&] { train(run, watcher); }), HasSubstr("stopped before the update"));
    ASSERT_GE(done, 1);
    EXPECT_EQ(run.iter, done + 1);
    EXPECT_TRUE(state_of(run) == before);
    EXPECT_EQ(run.batches.place().generator.drawn, batches.generator.drawn);
    EXPECT_EQ(run.model->context().random.drawn, masks.drawn);
    clear();
  }
}

TEST_F(Stopping, TheGradientsNormIsThatBeforeClipping) {
  options.max_iters = 3;
  options.grad_clip = 0.1;
  ASSERT_EQ(run_from("scratch"), Finish::done);
  std::vector<double> clipped = watcher.norms;
  watcher.norms.clear();
  options.grad_clip = 0;
  ASSERT_EQ(run_from("scratch"), Finish::done);
  EXPECT_EQ(watcher.norms[0], clipped[0]);
  EXPECT_GT(clipped[0], 0.1);
}

}  // namespace
}  // namespace folio
