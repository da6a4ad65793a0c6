// A resumed run is the run that it was: its options, its data, its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/model_file.h"
#include "data/files/files.h"
#include "tests/message.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ResumeOptions : public testing::Test {
 protected:
  ResumeOptions() {
    options.max_iters = 10;
    options.eval_interval = 5;
    options.weight_decay = 0.3;
    folio::Run run(options, {});
    train(run, silent);
  }
  // What `folio train --init_from=resume --out_dir=OUT` and the arguments give.
  TrainOptions given_now() const {
    TrainOptions now;
    now.init_from = "resume";
    now.out_dir = options.out_dir;
    return now;
  }
  std::string last() const { return last_checkpoint(options.out_dir).string(); }

  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  Observer silent;
};

TEST_F(ResumeOptions, AreTheRunsOwn) {
  folio::Run run(given_now(), {{"init_from", "command line"}, {"out_dir", "command line"}});
  EXPECT_EQ(option_values(run.options), option_values(options));
  EXPECT_THAT(run.notes, IsEmpty());
  EXPECT_EQ(run.origins.at("weight_decay"), last());
}

TEST_F(ResumeOptions, GivenOnesOverrideAndEachDifferenceIsSaid) {
  TrainOptions now = given_now();
  now.learning_rate = 0.5;
  now.weight_decay = 0.3;
  now.max_iters = 12;
  folio::Run run(
      now,
      {{"learning_rate", "x.toml:3"}, {"weight_decay", "x.toml:4"}, {"max_iters", "command line"}});
  EXPECT_EQ(run.options.learning_rate, 0.5);
  EXPECT_EQ(run.options.batch_size, options.batch_size);
  EXPECT_THAT(run.notes, ElementsAre("learning_rate = 0.5 (x.toml:3), until now 0.01",
                                     "max_iters = 12 (command line), until now 10"));
  train(run, silent);
  EXPECT_EQ(load(last()).attribute<double>("option/learning_rate"), 0.5);
}

TEST_F(ResumeOptions, AnotherShapeIsRefused) {
  TrainOptions now = given_now();
  now.model.n_layer = 5;
  EXPECT_THAT(message_of([&] {
                folio::Run run(now, {{"n_layer", "x.toml:3"}});
              }),
              AllOf(HasSubstr("n_layer = 2"), HasSubstr("x.toml:3")));
}

// The file says it as it says the model's other fields, and not as an option of the run.
TEST_F(ResumeOptions, TheActivationIsTheModels) {
  TrainOptions other = options;
  other.out_dir = folder / "tanh";
  other.model.activation = gelu_tanh_op;
  {
    folio::Run run(other, {{"activation", "command line"}});
    EXPECT_EQ(run.model->config().activation, gelu_tanh_op);
    train(run, silent);
  }
  CheckpointFile file = load(last_checkpoint(other.out_dir));
  EXPECT_EQ(file.attribute<std::string>("activation"), "gelu_tanh");
  EXPECT_FALSE(file.has("option/activation"));
  TrainOptions now;
  now.init_from = "resume";
  now.out_dir = other.out_dir;
  {
    folio::Run resumed(now, {});
    EXPECT_EQ(resumed.options.model.activation, gelu_tanh_op);
    EXPECT_EQ(resumed.options.model.vocab_size, file.attribute<int64_t>("vocab_size"));
  }
  EXPECT_THAT(message_of([&] {
                folio::Run run(now, {{"activation", "x.toml:3"}});
              }),
              HasSubstr("the model has activation = gelu_tanh; it cannot be trained with gelu_erf "
                        "(x.toml:3)"));
}

TEST_F(ResumeOptions, TheOptimizerIsTheRunsAndItsOptionsAreChecked) {
  TrainOptions now = given_now();
  now.optimizer = "muon";
  EXPECT_EQ(message_of([&] {
              folio::Run run(now, {{"optimizer", "x.toml:3"}});
            }),
            last() +
                ": has the state of optimizer=adamw; it cannot be trained on with muon "
                "(x.toml:3)");
  now = given_now();
  now.muon_lr = 0.5;
  EXPECT_THAT(message_of([&] {
                folio::Run run(now, {{"muon_lr", "x.toml:4"}});
              }),
              HasSubstr("x.toml:4: muon_lr: has an effect only with optimizer=muon"));
}

// Those that came later have their defaults.
TEST_F(ResumeOptions, AnOlderFoliosCheckpointGoesOn) {
  CheckpointFile file = load(last());
  for (const char* name : {"optimizer", "muon_lr", "muon_warmup_iters", "weight_decay_schedule",
                           "ema", "schedule", "decay_fraction", "batches"})
    EXPECT_EQ(file.attributes.erase(std::string("option/") + name), 1u) << name;
  save(last(), file);
  folio::Run run(given_now(), {});
  EXPECT_EQ(option_values(run.options), option_values(options));
  EXPECT_EQ(run.optimizer->steps, 11);
}

TEST_F(ResumeOptions, AFieldOfTheModelThatThisFolioDoesNotKnowIsNamed) {
  CheckpointFile file = load(last());
  file.attributes["config/value_embeddings"] = 10000.0;
  save(last(), file);
  EXPECT_THAT(message_of([&] { folio::Run run(given_now(), {}); }),
              HasSubstr("a field \"value_embeddings\" that this folio does not know"));
}

TEST_F(ResumeOptions, AFinishedRunTrainsNothingAndLeavesTheSameBytes) {
  std::string before = read_file(last());
  struct NoStep : Observer {
    void stepped(const folio::Run&, const Step&) override { ADD_FAILURE() << "trained on"; }
    void evaluated(const folio::Run&, const Losses&) override { ADD_FAILURE() << "evaluated"; }
  } observer;
  folio::Run run(given_now(), {});
  EXPECT_EQ(train(run, observer), Finish::done);
  EXPECT_TRUE(read_file(last()) == before);
}

TEST_F(ResumeOptions, EvalOnlyEvaluatesAtAnyIterationAndWritesNothing) {
  struct Evaluated : Observer {
    void evaluated(const folio::Run& run, const Losses&) override { at.push_back(run.iter); }
    std::vector<int64_t> at;
  } observer;
  TrainOptions now = given_now();
  now.eval_only = true;
  std::string before = read_file(last());
  folio::Run run(now, {{"eval_only", "command line"}});
  EXPECT_EQ(train(run, observer), Finish::done);
  EXPECT_THAT(observer.at, ElementsAre(11));
  EXPECT_TRUE(read_file(last()) == before);
}

TEST_F(ResumeOptions, ADatasetThatHasChangedIsSaid) {
  fs::path input = folder / "input.txt";
  std::string text = read_file(input.string());
  std::ofstream(input) << text.substr(0, text.size() / 2) + text.substr(0, text.size() / 2);
  prepare({.name = "tiny", .input = input.string(), .data_dir = options.data_dir});
  folio::Run run(given_now(), {});
  EXPECT_THAT(run.notes, ElementsAre(HasSubstr("dataset tiny has changed")));
}

TEST_F(ResumeOptions, ABestCheckpointAloneIsEnough) {
  fs::remove(last());
  folio::Run run(given_now(), {});
  EXPECT_EQ(run.iter % options.eval_interval, 0);
}

}  // namespace
}  // namespace folio
