// What a run shows on a terminal, and does not send to one.
#include "commands/train/train_terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include "tests/commands/train/report_run.h"
#include "tests/core/process/pseudo_terminal.h"

namespace folio {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class OnATerminal : public testing::Test {
 protected:
  OnATerminal() {
    setenv("NO_COLOR", "1", 1);
    setenv("LC_ALL", "C.UTF-8", 1);
  }
  ~OnATerminal() override {
    unsetenv("NO_COLOR");
    unsetenv("LC_ALL");
  }
  // What a terminal of that width shows of a run.
  std::string run(int columns) const {
    PseudoTerminal terminal(columns);
    {
      std::fflush(stdout);
      StandardStream output(STDOUT_FILENO, terminal.line());
      train_watched(options);
    }
    return terminal.shown();
  }
  TemporaryFolder folder;
  TrainOptions options = watched_options(folder);
};

TEST_F(OnATerminal, ThePlotAndSamplesAreThereUnlessTheyAreOff) {
  const std::string shown = run(100);
  EXPECT_THAT(shown, AllOf(HasSubstr("loss by iteration"), HasSubstr(" train "), HasSubstr("│")));
  EXPECT_THAT(shown, HasSubstr("  | "));
  options.plot = "off";
  EXPECT_THAT(run(100), AllOf(Not(HasSubstr("loss by iteration")), Not(HasSubstr("  | "))));
  setenv("LC_ALL", "C", 1);
  options.plot = "on";
  const std::string ascii = run(100);
  EXPECT_THAT(ascii, HasSubstr("loss by iteration"));
  EXPECT_EQ(ascii.find("│"), ascii.npos);
}

TEST_F(OnATerminal, TheProgressLineHasWhatFitsAndTheTimeLeftLast) {
  folio::Run run(options, {});
  const Pace pace{.step_seconds = 2, .tokens_per_second = 64, .share_of_peak = 0.5};
  auto line = [&](int columns, int64_t iter) {
    PseudoTerminal terminal(columns);
    {
      StandardStream output(STDOUT_FILENO, terminal.line());
      TrainTerminal().stepped(run, {.iter = iter, .loss = 2.5}, pace);
    }
    const std::string shown = terminal.shown();
    EXPECT_TRUE(shown.starts_with("\r\033[K"));
    EXPECT_LT(shown.size() - 4, size_t(columns));
    return shown.substr(4);
  };
  // 6 iterations of 128 tokens, of 5403; the next evaluation is at iteration 8, the end at 13.
  EXPECT_EQ(line(200, 5),
            "iter 5: loss 2.5000, time 2000.00ms, 64 tokens/s, 50 % of peak, epoch 0.14, evaluates "
            "and saves in 6s, 16s left");
  EXPECT_EQ(line(80, 5), "iter 5: loss 2.5000, epoch 0.14, evaluates and saves in 6s, 16s left");
  EXPECT_EQ(line(40, 5), "iter 5: loss 2.5000, 16s left");
  EXPECT_EQ(line(12, 5), "iter 5: los");
  EXPECT_THAT(line(200, 12), Not(HasSubstr("evaluates"))) << "there is none to come";
}

// Of the folder's name, and of a vocabulary: escape sequences, marks of direction.
TEST_F(OnATerminal, HostileTextIsShownAndNotSent) {
  std::string text;
  for (int i = 0; i < 800; ++i) text += "\x1b[2J\u202e\u009b\x07";
  std::ofstream(folder / "hostile.txt") << text;
  prepare({.name = "hostile", .input = folder / "hostile.txt", .data_dir = options.data_dir});
  options.dataset = "hostile";
  options.out_dir = folder / "out\x1b]0;title\x07\u202e";
  const std::string shown = run(300);
  for (const char* harmful : {"\x1b[2J", "\x1b]0", "\x07", "\u202e", "\u009b"})
    EXPECT_EQ(shown.find(harmful), shown.npos) << harmful;
  EXPECT_THAT(shown, AllOf(HasSubstr("out\\x1b]0;title\\x07\\u202e"), HasSubstr("\\u202e")));
}

TEST(TrainTerminal, ElsewhereTheLinesAreNanoGptsAndTheCommandToGoOnIsOneWord) {
  TemporaryFolder folder;
  TrainOptions options = watched_options(folder);
  options.out_dir = folder / "it's\x1b here";
  testing::internal::CaptureStdout();
  train_watched(options);
  options.init_from = "resume";
  train_watched(options);
  const std::string shown = testing::internal::GetCapturedStdout();
  EXPECT_THAT(shown, ContainsRegex("\nstep 4: train loss [0-9.]+, val loss [0-9.]+\n"));
  EXPECT_THAT(shown, ContainsRegex("\niter 4: loss [0-9.]+, time [0-9.]+ms"));
  EXPECT_THAT(shown, HasSubstr("evaluated and saved every 4 iterations"));
  EXPECT_THAT(shown, Not(HasSubstr("  | ")));
  EXPECT_THAT(shown, HasSubstr("--init_from=resume $'--out_dir="));
  EXPECT_THAT(shown, HasSubstr("it\\'s\\x1b here'"));
}

TEST(TrainTerminal, AnEarlyStopIsExplained) {
  TemporaryFolder folder;
  TrainOptions options = watched_options(folder);
  options.learning_rate = 0;
  options.max_iters = 200;
  options.early_stop = 3;
  testing::internal::CaptureStdout();
  train_watched(options);
  EXPECT_THAT(testing::internal::GetCapturedStdout(),
              ContainsRegex("stopped early after [0-9]+ iterations: best val loss [0-9.]+ of "
                            "iteration [0-9]+, and no better one in the 3 evaluations since"));
  const std::string html =
      read_file((std::filesystem::path(options.out_dir) / "report.html").string());
  EXPECT_EQ(page_data(html, "now")["state"], "stopped early");
}

}  // namespace
}  // namespace folio
