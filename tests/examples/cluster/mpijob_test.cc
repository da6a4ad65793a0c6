// docs/cluster/mpijob.yaml, with programs that stand in for a pod's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>

#include "tests/examples/cluster/stand_ins.h"
#include "tests/examples/tour_page.h"
#include "tests/paths.h"

namespace folio {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

namespace fs = std::filesystem;

// What Python's yaml makes of an expression over the job's manifest.
Result manifest(const std::string& expression) {
  return run_line("python3 -c \"import sys, yaml\njob = yaml.safe_load(open(sys.argv[1]))\n" +
                  expression + "\" '" + source_path("docs/cluster/mpijob.yaml") + "'");
}

class ClusterMpiJob : public testing::Test {
  void SetUp() override {
    if (run_line("python3 -c 'import yaml'").status != 0)
      GTEST_SKIP() << "there is no python3-yaml to read the manifest";
  }
};

// The launcher's script or hook, with its paths moved to the folder of the test.
std::string script_of(const std::string& expression, const StandIns& cluster) {
  const Result text = manifest(
      "pod = lambda kind: job['spec']['mpiReplicaSpecs'][kind]['template']"
      "['spec']['containers'][0]\nprint(" +
      expression + ")");
  EXPECT_EQ(text.status, 0) << text.output;
  std::string moved =
      std::regex_replace(text.output, std::regex("/training\\b"), cluster.path("t"));
  moved = std::regex_replace(moved, std::regex("/etc/mpi/hostfile"), cluster.path("hostfile"));
  std::ofstream(cluster.path("script")) << moved;
  return "bash '" + cluster.path("script") + "'";
}

TEST_F(ClusterMpiJob, StartsFolioAndGoesOnFromItsCheckpoint) {
  const StandIns cluster;
  cluster.program("mpirun");
  const std::string script = script_of("pod('Launcher')['args'][0]", cluster);
  EXPECT_EQ(cluster.run(script).status, 0);
  std::vector<std::string> started = cluster.called("mpirun");
  ASSERT_THAT(started, Contains("train"));
  expect_train_options(started);
  EXPECT_THAT(started, Not(Contains("--init_from=resume")));
  const auto config = std::find(started.begin(), started.end(), "train") + 1;
  EXPECT_TRUE(fs::exists(source_path(*config))) << *config;
  cluster.checkpoint("t/out/last.h5");
  EXPECT_EQ(cluster.run(script).status, 0);
  started = cluster.called("mpirun");
  ASSERT_THAT(started, Not(testing::IsEmpty()));
  EXPECT_EQ(started.back(), "--init_from=resume");
  EXPECT_THAT(started, Contains("--out_dir=" + cluster.path("t/out")));
}

TEST_F(ClusterMpiJob, APodThatGoesAsksARankAndWaits) {
  const StandIns cluster;
  std::ofstream(cluster.path("hostfile")) << "folio-worker-0.folio.default.svc slots=1\n"
                                             "folio-worker-1.folio.default.svc slots=1\n";
  cluster.program("ssh");
  cluster.program("pkill");
  cluster.program("sleep");
  // Found twice, then gone.
  cluster.program("pgrep", "n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) >n; ((n < 2))");
  const std::string hook = "['lifecycle']['preStop']['exec']['command'][2]";
  EXPECT_NE(cluster.run(script_of("pod('Launcher')" + hook, cluster)).status, 127);
  EXPECT_THAT(cluster.called("ssh"),
              ElementsAre("folio-worker-0.folio.default.svc", "pkill", "-TERM", "-x", "folio"));
  EXPECT_THAT(cluster.called("pgrep"), Contains("mpirun"));
  EXPECT_EQ(read_text(cluster.path("n")), "3\n");
  fs::remove(cluster.path("n"));
  EXPECT_NE(cluster.run(script_of("pod('Worker')" + hook, cluster)).status, 127);
  EXPECT_THAT(cluster.called("pkill"), ElementsAre("-TERM", "-x", "folio"));
  EXPECT_THAT(cluster.called("pgrep"), Contains("folio"));
  EXPECT_EQ(read_text(cluster.path("n")), "3\n");
}

TEST_F(ClusterMpiJob, SuitsItsImage) {
  const std::string image = read_text(source_path("docs/cluster/Containerfile"));
  const Result result = manifest(
      "for pod in job['spec']['mpiReplicaSpecs'].values():\n"
      "  spec = pod['template']['spec']\n"
      "  print('user', spec['securityContext']['runAsUser'])\n"
      "  print('grace', spec['terminationGracePeriodSeconds'] >= 60)\n"
      "  print(' '.join(spec['containers'][0]['command']))\n"
      "  print(spec['containers'][0].get('readinessProbe', ''))\n"
      "print('keys', job['spec']['sshAuthMountPath'])");
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("user 1000\ngrace True\nbash -c\n"));
  EXPECT_THAT(result.output, HasSubstr("/usr/sbin/sshd -De -f /etc/ssh/sshd_mpi_config\n"));
  EXPECT_THAT(result.output, HasSubstr("{'tcpSocket': {'port': 2222}}\n"));
  EXPECT_THAT(result.output, HasSubstr("keys /home/folio/.ssh\n"));
  for (const char* part : {"--uid 1000", "'Port 2222'", "'  Port 2222'", "/etc/ssh/sshd_mpi_config",
                           "HostKey /home/folio/.ssh/id_rsa", "procps", "openssh-client"})
    EXPECT_THAT(image, HasSubstr(part));
}

}  // namespace
}  // namespace folio
