// What a run prints and writes to log.csv.
#include "commands/train/train_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint/model_file.h"
#include "data/files/files.h"
#include "tests/train/tiny_run.h"
#include "train/train.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// log.csv: (iteration, whether it is an evaluation) of each row.
std::vector<std::pair<int64_t, bool>> rows_of(const fs::path& log) {
  std::ifstream in(log);
  std::string row;
  std::vector<std::pair<int64_t, bool>> rows;
  std::getline(in, row);
  EXPECT_EQ(row,
            "iter,train_loss,val_loss,step_loss,lr,ms,grad_norm,seconds,update_ratio,"
            "update_ratio_least,update_ratio_most");
  while (std::getline(in, row)) {
    EXPECT_EQ(std::count(row.begin(), row.end(), ','), 10) << row;
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
  EXPECT_THAT(read_file(log.string()),
              HasSubstr("update_ratio_most\n0,1,1,,1,,,,,,\n0,,,1,1,1,,,,,\n7,"));
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
