// `folio train` on several processes: what it learns, keeps and says is what one process would.
#include <gmock/gmock.h>

#include <csignal>
#include <cstdlib>

#include "checkpoint/model_file.h"
#include "tests/train/ranks/mpi_run.h"
#include "tests/train/tiny_run.h"
#include "train/log_file.h"

namespace folio {
namespace {

using testing::HasSubstr;
using testing::Not;
using Arguments = std::vector<std::string>;

class Ranks : public testing::Test {
 protected:
  Ranks() { options_ = tiny_options(folder_); }
  void SetUp() override {
    if (system("mpirun --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "no mpirun";
  }

  Arguments arguments(const std::string& out, const Arguments& more = {}) const {
    Arguments list{"--out_dir=" + folder_ / out,
                   "--data_dir=" + options_.data_dir,
                   "--dataset=tiny",
                   "--n_layer=2",
                   "--n_head=2",
                   "--n_embd=16",
                   "--block_size=16",
                   "--batch_size=3",
                   "--gradient_accumulation_steps=12",
                   "--dropout=0.2",
                   "--max_iters=50",
                   "--eval_interval=10",
                   "--eval_iters=5",
                   "--warmup_iters=5",
                   "--lr_decay_iters=50",
                   "--learning_rate=1e-2",
                   "--threads=1",
                   "--log_interval=1",
                   "--report=false",
                   "--sample_tokens=0"};
    list.insert(list.end(), more.begin(), more.end());
    return list;
  }
  // Trains, and gives what log.csv has of losses.
  std::vector<double> losses(int ranks, const std::string& out, const Arguments& more = {}) const {
    MpiRun run(ranks, arguments(out, more));
    EXPECT_EQ(run.finish(), 0) << run.said();
    std::vector<double> losses;
    for (const LogRow& row : read_log(folder_ / out + "/log.csv"))
      for (const auto& loss : {row.train_loss, row.val_loss, row.step_loss})
        if (loss) losses.push_back(*loss);
    return losses;
  }
  CheckpointFile last(const std::string& out) const { return load(folder_ / out + "/last.h5"); }
  std::map<std::string, std::vector<float>> tensors(const std::string& out) const {
    std::map<std::string, std::vector<float>> values;
    for (const auto& [name, tensor] : last(out).tensors) values[name] = to_vector<float>(tensor);
    return values;
  }

  const TemporaryFolder folder_;
  TrainOptions options_;
};

void expect_near(const std::vector<double>& got, const std::vector<double>& want, double within,
                 const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], within) << what << ", " << i;
}

struct Kind {
  const char* name;
  Arguments arguments;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class RankKinds : public Ranks, public testing::WithParamInterface<Kind> {};

// Sums of gradients are taken in another order, and that is all: 51 losses and 12 of evaluations.
// What one process does is in its first checkpoint too: its draws are those of all.
TEST_P(RankKinds, LearnTheSameOnAnyNumberOfRanks) {
  const std::vector<double> one = losses(0, "one", GetParam().arguments);
  EXPECT_EQ(one.size(), 51u + 12u);
  const std::map<std::string, Attribute> state = last("one").attributes;
  for (int ranks : {1, 2, 3, 4}) {
    const std::string out = fmt::format("on{}", ranks);
    expect_near(losses(ranks, out, GetParam().arguments), one, ranks == 1 ? 0 : 1e-5, out);
    const CheckpointFile file = last(out);
    for (const auto& [key, value] : state) {
      if (!key.starts_with("random/") && key != "iter_num" && key != "adamw/steps") continue;
      EXPECT_EQ(file.attributes.at(key), value) << out << ": " << key;
    }
    for (const auto& [name, tensor] : last("one").tensors)
      EXPECT_EQ(file.tensor(name).shape(), tensor.shape()) << out << ": " << name;
  }
}

INSTANTIATE_TEST_SUITE_P(All, RankKinds,
                         testing::Values(Kind{"adamw", {}}, Kind{"replicated", {"--zero_stage=0"}},
                                         Kind{"muon", {"--optimizer=muon"}},
                                         Kind{"recipe",
                                              {"--optimizer=muon", "--batches=epochs", "--ema=0.9",
                                               "--position=rotary", "--norm=rms",
                                               "--qk_norm=rms_learned", "--tie_weights=false",
                                               "--recompute=true"}}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_F(Ranks, TheSameBytesTwice) {
  for (const char* stage : {"--zero_stage=0", "--zero_stage=1"}) {
    losses(3, "first", {stage});
    losses(3, "second", {stage});
    EXPECT_EQ(tensors("first"), tensors("second")) << stage;
  }
}

TEST_F(Ranks, GoOnWithAnyNumberOfRanks) {
  for (const char* optimizer : {"--optimizer=adamw", "--optimizer=muon"}) {
    const std::vector<double> whole = losses(4, "whole", {optimizer});
    for (int ranks : {4, 3, 2, 1, 0}) {
      const std::string out = fmt::format("from4to{}", ranks);
      losses(4, out, {optimizer, "--max_iters=20"});
      const std::vector<double> all = losses(ranks, out, {"--init_from=resume", "--max_iters=50"});
      expect_near(all, whole, ranks == 4 ? 0 : 1e-5, out);
      EXPECT_TRUE(ranks != 4 || tensors(out) == tensors("whole")) << optimizer;
    }
  }
}

TEST_F(Ranks, StopTogetherWhicheverIsAsked) {
  losses(3, "whole");
  for (int who : {0, 2}) {
    const std::string out = fmt::format("stopped{}", who);
    MpiRun run(3, arguments(out, {"--max_iters=100000", "--lr_decay_iters=50"}));
    ASSERT_TRUE(run.reach("iter 20:")) << run.said();
    const std::vector<pid_t> pids = run.rank_pids();
    ASSERT_EQ(pids.size(), 3u);
    kill(pids[size_t(who)], SIGTERM);
    EXPECT_EQ(run.finish(), 128 + SIGTERM) << run.said();
    const int64_t iter = last(out).attribute<int64_t>("iter_num");
    EXPECT_GE(iter, 21);
    EXPECT_LT(iter, 100000);
    if (iter > 50) continue;  // a slow reader: the run to compare with is shorter
    losses(3, out, {"--init_from=resume", "--max_iters=50"});
    EXPECT_EQ(tensors(out), tensors("whole")) << who;
  }
}

TEST_F(Ranks, SaveTogetherWhicheverIsAsked) {
  MpiRun run(2, arguments("saved", {"--max_iters=100000", "--eval_interval=100000"}));
  ASSERT_TRUE(run.reach("iter 10:"));
  kill(run.rank_pids().at(1), SIGUSR1);
  EXPECT_TRUE(run.reach("saved")) << run.said();
  kill(run.rank_pids().at(0), SIGTERM);
  run.finish();
}

// Rank 0 cannot write from some moment on, as when its disk is full: the run goes on, and ends with
// what could not be saved.
TEST_F(Ranks, ASaveThatFailsLosesNothingThatWasSaved) {
  for (const char* stage : {"--zero_stage=0", "--zero_stage=1"}) {
    const std::string out = std::string("full") + stage;
    MpiRun run(3, arguments(out, {stage}));
    ASSERT_TRUE(run.reach("iter 20:")) << run.said();
    const std::string path = folder_ / out;
    std::filesystem::rename(path, path + ".away");
    std::ofstream(path) << "no folder";
    EXPECT_NE(run.finish(), 0);
    std::filesystem::remove(path);
    std::filesystem::rename(path + ".away", path);
    EXPECT_THAT(run.said(), HasSubstr("last.h5"));
    EXPECT_THAT(run.said(), HasSubstr("iter 50:")) << "it goes on with what it has in memory";
    const int64_t iter = last(out).attribute<int64_t>("iter_num");
    EXPECT_GE(iter, 20);
    EXPECT_LT(iter, 51);
    const std::vector<double> all = losses(3, out, {"--init_from=resume", "--max_iters=50"});
    EXPECT_GT(all.size(), 60u);
  }
}

TEST_F(Ranks, OptionsThatDifferAreNamedOnce) {
  Arguments both = arguments("differ");
  const Arguments other = arguments("differ", {"--learning_rate=2e-2"});
  both.insert(both.end(), {":", "-n", "1", folio_program(), "train"});
  both.insert(both.end(), other.begin(), other.end());
  MpiRun run(1, both);
  EXPECT_NE(run.finish(), 0);
  EXPECT_THAT(run.said(), HasSubstr("rank 1 was started with learning_rate=0.02, and rank 0 with "
                                    "learning_rate=0.01"));
}

TEST_F(Ranks, AnAccumulationThatDoesNotDivideIsRefusedOnce) {
  MpiRun run(3, arguments("refused", {"--gradient_accumulation_steps=10"}));
  EXPECT_NE(run.finish(), 0);
  const std::string message =
      "gradient_accumulation_steps=10 is not divisible by the number of "
      "processes, 3";
  EXPECT_THAT(run.said(), HasSubstr(message));
  EXPECT_THAT(run.said().substr(run.said().find(message) + 1), Not(HasSubstr(message)));
}

}  // namespace
}  // namespace folio
