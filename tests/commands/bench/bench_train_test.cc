// `folio bench train`: any vocabulary that token files hold, and nothing left behind.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include "commands/bench/bench_train_command.h"
#include "core/process/stop.h"
#include "tests/command.h"
#include "tests/device.h"
#include "tests/train/tiny_run.h"

namespace folio {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// The program's temporary files go to a folder of the test's own.
class BenchTrain : public testing::Test {
 protected:
  BenchTrain() { setenv("TMPDIR", folder_.path().c_str(), 1); }
  ~BenchTrain() override {
    forget_stop();
    unsetenv("TMPDIR");
  }
  static std::string bench(const std::string& option) {
    return output_of(bench_train_command,
                     {"--n_layer=1", "--n_head=1", "--n_embd=4", "--block_size=8", "--batch_size=1",
                      "--gradient_accumulation_steps=1", "--iters=1", "--json",
                      "--device=" + name_of(test_device()), option});
  }
  bool nothing_left() const { return fs::is_empty(folder_.path()); }

  TemporaryFolder folder_;
};

// More characters than there are before the surrogates of UTF-16, which are none.
TEST_F(BenchTrain, AnyVocabularyThatTokenFilesHold) {
  for (std::string size : {"1", "55263", "55264", "65535"})
    EXPECT_THAT(bench("--vocab_size=" + size), HasSubstr("\"median_ms\":")) << size;
  for (std::string size : {"0", "65536", "1000000"})
    EXPECT_EQ(bench("--vocab_size=" + size),
              "command line: vocab_size: must be 1 to 65535, got " + size);
  EXPECT_TRUE(nothing_left());
}

TEST_F(BenchTrain, AStopLeavesNoFolderBehind) {
  request_stop(SIGTERM);
  EXPECT_THROW(bench("--vocab_size=65"), Interrupted);
  EXPECT_TRUE(nothing_left());
}

TEST_F(BenchTrain, AnErrorLeavesNoFolderBehind) {
  EXPECT_THAT(bench("--n_head=3"), HasSubstr("must be divisible"));
  EXPECT_TRUE(nothing_left());
}

}  // namespace
}  // namespace folio
