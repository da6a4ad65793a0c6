// A run's folder is one run's: another is refused, an earlier one's files move aside.
#include "train/run_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "checkpoint/open_model.h"
#include "tests/device.h"
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

TEST(RunFolder, IsRefusedWhileALiveRunHasIt) {
  TemporaryFolder folder;
  fs::path out = folder / "new/out";
  {
    RunFolder mine(out);
    EXPECT_THAT(message_of([&] { RunFolder second(out); }),
                AllOf(HasSubstr("in use"), HasSubstr(fmt::format("process {}", getpid())),
                      HasSubstr("--out_dir")));
  }
  EXPECT_FALSE(fs::exists(out / "run.lock"));
  RunFolder again(out);
}

TEST(RunFolder, ALockThatItsOwnerLeftBehindIsNone) {
  TemporaryFolder folder;
  std::ofstream(folder / "run.lock") << "process 1 on an old machine\n";
  RunFolder mine(folder.path());
  EXPECT_THAT(message_of([&] { RunFolder second(folder.path()); }),
              HasSubstr(fmt::format("process {}", getpid())));
}

TEST(RunFolder, SetsAsideTheFilesOfARunAndNoOthers) {
  TemporaryFolder folder;
  RunFolder mine(folder.path());
  EXPECT_FALSE(mine.set_earlier_run_aside());
  for (int time = 1; time <= 2; ++time) {
    std::ofstream(folder / "last.h5") << "state " << time;
    for (const char* name : {"log.csv", "samples.jsonl", "report.html"})
      std::ofstream(folder / name) << "rows";
    fs::create_directory(folder / "tensorboard");
    std::ofstream(folder / "notes.txt") << "the user's";
    fs::path aside = mine.set_earlier_run_aside().value();
    EXPECT_EQ(aside, folder / fmt::format("earlier-{}", time));
    EXPECT_EQ(read_file((aside / "last.h5").string()), fmt::format("state {}", time));
    for (const char* name : {"log.csv", "samples.jsonl", "report.html", "tensorboard"}) {
      EXPECT_TRUE(fs::exists(aside / name)) << name;
      EXPECT_FALSE(fs::exists(folder / name)) << name;
    }
    EXPECT_FALSE(fs::exists(folder / "last.h5"));
    EXPECT_TRUE(fs::exists(folder / "notes.txt"));
  }
}

class Runs : public testing::Test {
 protected:
  Runs() {
    options.max_iters = 6;
    options.eval_interval = 3;
  }
  std::vector<std::string> train_it() {
    folio::Run run(options, {});
    Observer silent;
    train(run, silent);
    return run.notes;
  }
  TemporaryFolder folder;
  TrainOptions options = tiny_options(folder);
};

TEST_F(Runs, ANewOneIsNotMixedUpWithAnEarlierOne) {
  EXPECT_THAT(train_it(), IsEmpty());
  std::string earlier = read_file((fs::path(options.out_dir) / "ckpt.h5").string());
  options.seed = 5;
  options.eval_interval = 1000;
  options.max_iters = 2;
  std::string aside = (fs::path(options.out_dir) / "earlier-1").string();
  EXPECT_THAT(train_it(), ElementsAre("moved the files of an earlier run to " + aside));
  EXPECT_EQ(read_file(aside + "/ckpt.h5"), earlier);
  OpenedModel opened = open_model("resume", options.out_dir, test_device());
  EXPECT_THAT(opened.described(), HasSubstr("last.h5: iteration 3"));
}

TEST_F(Runs, TwoAtOnceAreRefused) {
  struct Second : Observer {
    explicit Second(const TrainOptions& options) : options(options) {}
    void stepped(const folio::Run&, const Step& step) override {
      if (step.iter != 4) return;
      folio::Run other(options, {});
      Observer silent;
      message = message_of([&] { train(other, silent); });
      TrainOptions resuming = options;
      resuming.init_from = "resume";
      resume_message = message_of([&] { folio::Run resumed(resuming, {}); });
      resuming.eval_only = true;  // looks, and writes nothing
      folio::Run looking(resuming, {});
      train(looking, silent);
    }
    TrainOptions options;
    std::string message, resume_message;
  } observer(options);
  folio::Run run(options, {});
  EXPECT_EQ(train(run, observer), Finish::done);
  EXPECT_THAT(observer.message, HasSubstr("in use"));
  EXPECT_THAT(observer.resume_message, HasSubstr("in use"));
}

// The validation loss goes up and down at such a rate.
TEST_F(Runs, CkptIsTheBestAndLastTheNewest) {
  struct ValLosses : Observer {
    void evaluated(const folio::Run& run, const Losses& losses) override {
      if (run.iter > 0) val[run.iter] = losses.val;
    }
    std::map<int64_t, double> val;
  } observer;
  options.max_iters = 36;
  options.eval_interval = 4;
  options.learning_rate = 0.3;
  options.decay_lr = false;
  options.warmup_iters = 0;
  for (bool always : {true, false}) {
    options.always_save_checkpoint = always;
    folio::Run run(options, {});
    train(run, observer);
    auto less = [](auto& a, auto& b) { return a.second < b.second; };
    auto best = std::min_element(observer.val.begin(), observer.val.end(), less);
    ASSERT_NE(best->first, observer.val.rbegin()->first) << "needs a loss that goes up again";
    EXPECT_EQ(run.best_val_loss, best->second);
    CheckpointFile file = load(fs::path(options.out_dir) / "ckpt.h5");
    EXPECT_EQ(file.attribute<int64_t>("iter_num"), best->first);
    EXPECT_EQ(file.attribute<double>("best_val_loss"), best->second);
    EXPECT_EQ(load(fs::path(options.out_dir) / "last.h5").attribute<int64_t>("iter_num"), 37);
    EXPECT_EQ(open_model("resume", options.out_dir, test_device()).described(),
              fmt::format("{}/ckpt.h5: iteration {}, val loss {:.4f}", options.out_dir, best->first,
                          best->second));
    EXPECT_THAT(
        open_model("resume", options.out_dir, test_device(), Purpose::any, Which::last).described(),
        HasSubstr("last.h5: iteration 37, best val loss so far"));
    EXPECT_THAT(open_model(options.out_dir, "", test_device(), Purpose::any, Which::last).source,
                HasSubstr("last.h5"));
  }
}

TEST(OpenRun, SaysWhatAFolderLacks) {
  TemporaryFolder folder;
  EXPECT_THAT(message_of([&] { open_model("resume", folder / "none", test_device()); }),
              HasSubstr("there is no such folder"));
  EXPECT_THAT(message_of([&] { open_model("resume", folder.path(), test_device()); }),
              HasSubstr("holds no checkpoint (ckpt.h5 or last.h5)"));
}

}  // namespace
}  // namespace folio
