#include "commands/prepare_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/dataset/meta.h"
#include "data/files/files.h"
#include "tests/command.h"
#include "tests/data/temporary_folder.h"

namespace folio {
namespace {

using testing::HasSubstr;

std::string run(std::vector<std::string> words) {
  return output_of(prepare_command, std::move(words));
}

TEST(PrepareCommand, TakesNameInputAndFolder) {
  TemporaryFolder folder;
  write_file(folder / "in.txt", "some text");
  std::string input = "--input=" + folder / "in.txt", data_dir = "--data_dir=" + folder.path();
  EXPECT_THAT(run({input, "--name=a", data_dir}), HasSubstr("length of dataset"));
  EXPECT_THAT(run({"shakespeare_char", input, data_dir}), HasSubstr("length of dataset"));
  EXPECT_EQ(open_dataset(folder / "a").train.size(), 8);
  EXPECT_EQ(open_dataset(folder / "shakespeare_char").train.size(), 8);
}

TEST(PrepareCommand, RefusesWhatItCannotUse) {
  EXPECT_EQ(run({"--inptu=x"}), "command line: unknown key \"inptu\"; did you mean \"input\"?");
  EXPECT_EQ(run({"a", "--val_fraction=1"}),
            "command line: val_fraction: must be at least 0 and below 1, got 1");
  EXPECT_EQ(run({"a", "b"}), "command line: one name at most, got \"a\" and \"b\"");
}

}  // namespace
}  // namespace folio
