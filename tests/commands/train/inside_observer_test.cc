#include "commands/train/inside_observer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Counts what it is told.
struct Told : Observer {
  void start(Run&) override { ++starts; }
  void evaluated(const Run& run, const Losses&) override { evaluations.push_back(run.iter); }
  void saved(const std::filesystem::path&) override { ++saves; }
  void stepped(const Run&, const Step&) override { ++steps; }
  void finish(const Run&, Finish) override { ++finishes; }
  int starts = 0, saves = 0, steps = 0, finishes = 0;
  std::vector<int64_t> evaluations;
};

std::vector<int64_t> iters_of(const std::string& out_dir) {
  std::vector<int64_t> iters;
  for (const InsideState& state : load_inside(std::filesystem::path(out_dir) / InsideLog::name))
    iters.push_back(state.iter);
  return iters;
}

TEST(InsideObserver, KeepsAStateAnEvaluationAndChangesNothingOfTheRun) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  options.max_iters = 8;
  folio::Run plain(options, {});
  Told alone;
  train(plain, alone);

  options.out_dir = folder / "watched";
  folio::Run watched(options, {});
  Told told;
  InsideObserver observer(told);
  train(watched, observer);
  EXPECT_EQ(told.evaluations, alone.evaluations);
  EXPECT_EQ(told.starts, 1);
  EXPECT_EQ(told.steps, alone.steps);
  EXPECT_EQ(told.saves, alone.saves);
  EXPECT_EQ(told.finishes, 1);
  EXPECT_THAT(iters_of(options.out_dir), ElementsAre(0, 4, 8));
  const InsideState last = load_inside(std::filesystem::path(options.out_dir) / InsideLog::name)[2];
  EXPECT_EQ(last.heads.size(), 4u);
  EXPECT_EQ(last.loss_by_position.size(), 8u);

  // To the last byte, with dropout.
  std::map<std::string, std::vector<float>> weights;
  plain.model->parameters(
      [&](const std::string& name, Parameter& p) { weights[name] = to_vector<float>(p.array()); });
  watched.model->parameters([&](const std::string& name, Parameter& p) {
    EXPECT_EQ(to_vector<float>(p.array()), weights.at(name)) << name;
  });
}

TEST(InsideObserver, KeepsNothingOfARunWithoutAReport) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  options.report = false;
  folio::Run run(options, {});
  Told told;
  InsideObserver observer(told);
  train(run, observer);
  EXPECT_FALSE(told.evaluations.empty());
  EXPECT_FALSE(std::filesystem::exists(std::filesystem::path(options.out_dir) / InsideLog::name));
}

TEST(InsideObserver, WhatCannotBeWrittenEndsNoRun) {
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
  options.max_iters = 8;
  folio::Run run(options, {});
  struct InTheWay : Told {
    void start(folio::Run& run) override {
      std::filesystem::create_directories(std::filesystem::path(run.options.out_dir) /
                                          InsideLog::name);
    }
  } told;
  InsideObserver observer(told);
  testing::internal::CaptureStderr();
  train(run, observer);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_THAT(told.evaluations, ElementsAre(0, 4, 8));
  EXPECT_THAT(said, HasSubstr("inside.jsonl"));
  EXPECT_EQ(said.find("the run goes on"), said.rfind("the run goes on")) << "said once";
}

}  // namespace
}  // namespace folio
