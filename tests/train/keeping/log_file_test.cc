#include "train/log_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/data/temporary_folder.h"
#include "tests/message.h"

namespace folio {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class LogRows : public testing::Test {
 protected:
  void write(const std::string& text) const { std::ofstream(log) << text; }
  TemporaryFolder folder;
  const std::filesystem::path log = folder / "log.csv";
};

TEST_F(LogRows, AreReadAsTheyWereWritten) {
  const LogRow evaluation{.iter = 250, .train_loss = 1.5, .val_loss = 1.75, .lr = 1e-3};
  const LogRow step{.iter = 250,
                    .step_loss = 2.25,
                    .lr = 5e-4,
                    .ms = 11.25,
                    .grad_norm = 0.5,
                    .seconds = 12.5,
                    .update_ratio = 1e-3,
                    .update_ratio_least = 2e-4,
                    .update_ratio_most = 3e-3};
  LogFile file(log, 0);
  file.add(evaluation);
  file.add(step);
  std::vector<LogRow> rows = read_log(log);
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_TRUE(rows[0].is_evaluation());
  EXPECT_FALSE(rows[1].is_evaluation());
  for (size_t i = 0; i < 2; ++i)
    for (const LogColumn& column : log_columns())
      EXPECT_EQ(rows[i].*column.member, (i == 0 ? evaluation : step).*column.member) << column.name;
}

TEST_F(LogRows, OlderAndForeignLogsAreReadByTheirColumns) {
  write("iter,train_loss,val_loss,step_loss,lr,ms\n0,4.2,4.3,,1e-05,\n0,,,4.1,1e-05,40\n");
  std::vector<LogRow> old = read_log(log);
  ASSERT_THAT(old, SizeIs(2));
  EXPECT_EQ(old[1].ms, 40);
  EXPECT_EQ(old[1].grad_norm, std::nullopt);
  write("iter,colour,lr,val_loss\r\n5,red,2,1.5\r\n");
  EXPECT_EQ(read_log(log).at(0).val_loss, 1.5);
  write("name,age\nx,1\n");
  EXPECT_THAT(message_of([&] { read_log(log); }), HasSubstr("log.csv: is no log of a run"));
  write("");
  EXPECT_THAT(read_log(log), IsEmpty());
}

TEST_F(LogRows, WhatIsNoNumberOrNoWholeRowIsMissing) {
  write(
      std::string("iter,train_loss,val_loss,step_loss,lr,ms\n"
                  "<script>,1,1,1,1,1\n1,,,nan,inf,1e999\n2,x,1.5y,,0x10,-\n3\n4,1,2,3,4,5,6,7\n") +
      std::string("5\0,1,1,,,\n", 10) + "99999999999999999999,1,1\n6,,,1.0,1e-3,12");
  std::vector<LogRow> rows = read_log(log);
  std::vector<int64_t> iters;
  for (const LogRow& row : rows) iters.push_back(row.iter);
  EXPECT_THAT(iters, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(rows[0].ms, std::nullopt);
  for (const LogColumn& column : log_columns()) {
    EXPECT_EQ(rows[1].*column.member, std::nullopt) << column.name;
    EXPECT_EQ(rows[2].*column.member, std::nullopt) << column.name;
  }
  EXPECT_EQ(rows[3].ms, 5);
}

TEST_F(LogRows, ALogThatGoesOnKeepsItsOldRowsAsTheyAre) {
  write("iter,train_loss,val_loss,step_loss,lr,ms\n0,4.2000000001,4.3,,1e-05,\n7,,,1,1,1\n8,,,1");
  LogFile(log, 7).add({.iter = 7, .step_loss = 1});
  std::vector<LogRow> rows = read_log(log);
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].train_loss, 4.2000000001);
  EXPECT_EQ(rows[1].ms, std::nullopt);
}

}  // namespace
}  // namespace folio
