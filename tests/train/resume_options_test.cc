// A resumed run is the run that it was: its options, its data, its end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/model_file.h"
#include "commands/train_report.h"
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
using testing::Not;

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
  now.n_layer = 5;
  EXPECT_THAT(message_of([&] {
                folio::Run run(now, {{"n_layer", "x.toml:3"}});
              }),
              AllOf(HasSubstr("n_layer = 2"), HasSubstr("x.toml:3")));
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
  fs::path input = folder.path() / "input.txt";
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

// log.csv: (iteration, whether it is an evaluation) of each row.
std::vector<std::pair<int64_t, bool>> rows_of(const fs::path& log) {
  std::ifstream in(log);
  std::string row;
  std::vector<std::pair<int64_t, bool>> rows;
  std::getline(in, row);
  EXPECT_EQ(row, "iter,train_loss,val_loss,step_loss,lr,ms,grad_norm");
  while (std::getline(in, row)) {
    EXPECT_EQ(std::count(row.begin(), row.end(), ','), 6) << row;
    rows.emplace_back(std::stoll(row), row.find(",,") > row.find(',') + 1);
  }
  return rows;
}

class Log : public testing::Test {
 protected:
  Log() {
    options.max_iters = 12;
    options.eval_interval = 4;
    options.log_interval = 1;
  }
  // What it prints; and whether the report is complete.
  std::pair<std::string, bool> train_with_report(int64_t max_iters) {
    folio::Run run(options, {});
    run.options.max_iters = max_iters;
    testing::internal::CaptureStdout();
    Report report;
    train(run, report);
    return {testing::internal::GetCapturedStdout(), report.complete()};
  }
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  fs::path log = fs::path(options.out_dir) / "log.csv";
};

TEST_F(Log, AfterAResumeNoRowIsThereTwice) {
  train_with_report(12);
  auto expected = rows_of(log);
  EXPECT_EQ(expected.size(), 13u + 4u);
  // The run as it was after iteration 7, and the log as a kill later on had left it.
  fs::remove_all(options.out_dir);
  train_with_report(6);
  std::ofstream(log, std::ios::app) << "7,,,1,1,1,1\n8,1,1,,1,,\n8,,,1,1,1,1\n9,,,1,1";
  options.init_from = "resume";
  train_with_report(12);
  EXPECT_EQ(rows_of(log), expected);
}

TEST_F(Log, OneFromBeforeAColumnWasThereGetsIt) {
  train_with_report(6);
  std::string text = "iter,train_loss,val_loss,step_loss,lr,ms\n0,1,1,,1,\n0,,,1,1,1\n";
  std::ofstream(log) << text;
  options.init_from = "resume";
  train_with_report(7);
  EXPECT_THAT(read_file(log.string()), HasSubstr("grad_norm\n0,1,1,,1,,\n0,,,1,1,1,\n7,"));
}

TEST_F(Log, OneThatCannotBeWrittenEndsNoRunAndIsNamed) {
  train_with_report(4);
  fs::remove(log);
  fs::create_directory(log);  // no file can take its place
  options.init_from = "resume";
  testing::internal::CaptureStderr();
  auto [output, complete] = train_with_report(8);
  std::string errors = testing::internal::GetCapturedStderr();
  EXPECT_THAT(errors, AllOf(HasSubstr("log.csv"), HasSubstr("goes on without it")));
  EXPECT_FALSE(complete);
  EXPECT_THAT(output, AllOf(HasSubstr("iter 8:"), HasSubstr("stopped after 9 iterations")));
  EXPECT_EQ(load(last_checkpoint(options.out_dir)).attribute<int64_t>("iter_num"), 9);
}

TEST_F(Log, TheLastLineSaysHowToGoOnWhereThereIsSomethingToDo) {
  EXPECT_THAT(train_with_report(12).first, Not(HasSubstr("init_from=resume")));
  options.init_from = "resume";
  EXPECT_THAT(train_with_report(12).first,
              AllOf(HasSubstr("nothing to train: 13 iterations are done and max_iters is 12"),
                    HasSubstr("folio train --init_from=resume --out_dir=")));
}

}  // namespace
}  // namespace folio
