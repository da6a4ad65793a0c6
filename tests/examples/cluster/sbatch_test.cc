// docs/cluster/train.sbatch, with programs that stand in for Slurm's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/examples/cluster/stand_ins.h"
#include "tests/paths.h"

namespace folio {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const std::string sbatch = "SLURM_JOB_ID=41 SLURM_CPUS_PER_TASK=6 bash '" +
                           source_path("docs/cluster/train.sbatch") + "' ";

TEST(ClusterSbatch, StartsFolioOnceATaskWithItsOwnCpus) {
  const StandIns cluster;
  cluster.program("srun");
  cluster.program("scontrol");
  EXPECT_EQ(cluster.run(sbatch + "'my config.toml' --n_layer=2").status, 0);
  const std::vector<std::string> started = cluster.called("srun");
  EXPECT_THAT(started,
              ElementsAre("--mpi=pmix", "--cpus-per-task=6", "folio", "train", "my config.toml",
                          "--n_layer=2", "--out_dir=out/41", "--threads=6"));
  expect_train_options(started);
  EXPECT_THAT(cluster.called("scontrol"), IsEmpty());
}

TEST(ClusterSbatch, GoesOnFromEitherCheckpoint) {
  const StandIns cluster;
  cluster.program("srun");
  for (const char* file : {"a b/last.h5", "c/ckpt.h5", "out/41/last.h5"}) {
    const std::string folder = std::filesystem::path(file).parent_path();
    const std::string options =
        folder == "out/41" ? "config.toml" : "config.toml --out_dir='" + folder + "'";
    EXPECT_EQ(cluster.run(sbatch + options).status, 0);
    EXPECT_THAT(cluster.called("srun"), Not(Contains("--init_from=resume"))) << file;
    cluster.checkpoint(file);
    EXPECT_EQ(cluster.run("FOLIO=/opt/folio " + sbatch + options).status, 0);
    const std::vector<std::string> started = cluster.called("srun");
    ASSERT_THAT(started, Not(IsEmpty())) << file;
    EXPECT_EQ(started.back(), "--init_from=resume") << file;
    EXPECT_THAT(started, Contains("--out_dir=" + folder));
    EXPECT_THAT(started, Contains("/opt/folio"));
    expect_train_options(started);
  }
}

TEST(ClusterSbatch, ComesBackAfterAWarningAlone) {
  const StandIns cluster;
  cluster.program("scontrol");
  cluster.program("srun", "exit 143");  // 128 + SIGTERM
  EXPECT_EQ(cluster.run(sbatch + "config.toml").status, 143);
  EXPECT_THAT(cluster.called("scontrol"), ElementsAre("requeue", "41"));
  for (const char* status : {"0", "1", "137"}) {
    cluster.program("srun", std::string("exit ") + status);
    EXPECT_EQ(cluster.run(sbatch + "config.toml").status, std::stoi(status));
    EXPECT_THAT(cluster.called("scontrol"), IsEmpty()) << status;
  }
  // scancel: SIGTERM to the script and to the ranks, whose last words come before its end.
  cluster.program("srun", "kill -TERM $PPID; echo saved; exit 143");
  const Result cancelled = cluster.run(sbatch + "config.toml");
  EXPECT_EQ(cancelled.status, 143);
  EXPECT_EQ(cancelled.output, "saved\n");  // and not "Terminated": the script has waited
  EXPECT_THAT(cluster.called("scontrol"), IsEmpty());
}

TEST(ClusterSbatch, WithoutAConfigSaysHowItIsCalled) {
  const StandIns cluster;
  cluster.program("srun");
  const Result result = cluster.run(sbatch);
  EXPECT_EQ(result.status, 2);
  EXPECT_THAT(result.output, HasSubstr("usage: sbatch train.sbatch CONFIG"));
  EXPECT_THAT(cluster.called("srun"), IsEmpty());
}

}  // namespace
}  // namespace folio
