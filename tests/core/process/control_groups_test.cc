#include "core/process/control_groups.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <limits>

#include "core/process/memory_limit.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t no_limit = std::numeric_limits<uint64_t>::max();
constexpr double all_cpus = std::numeric_limits<double>::infinity();

// The files that Linux shows, as far as a test makes them.
class ControlGroups : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "folio-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root = name;
  }
  void TearDown() override { fs::remove_all(root); }

  void put(const std::string& file, const std::string& text) {
    fs::path path = root / file;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text << "\n";
  }
  GroupLimits limits() const { return control_group_limits(root); }

  fs::path root;
};

TEST_F(ControlGroups, WithoutThemNothingIsLimited) {
  EXPECT_EQ(limits().memory, no_limit);
  EXPECT_EQ(limits().cpus, all_cpus);
  put("proc/self/cgroup", "0::/");
  EXPECT_EQ(limits().memory, no_limit);
  EXPECT_EQ(limits().cpus, all_cpus);
}

TEST_F(ControlGroups, Version2) {
  put("proc/self/cgroup", "0::/a/b");
  put("sys/fs/cgroup/a/b/memory.max", "1000000");
  put("sys/fs/cgroup/a/b/memory.current", "300000");
  put("sys/fs/cgroup/a/b/cpu.max", "150000 100000");
  EXPECT_EQ(limits().memory, 700000u);
  EXPECT_EQ(limits().cpus, 1.5);
  put("sys/fs/cgroup/a/b/memory.stat", "anon 1\ninactive_file 50000\nactive_file 30000\nfile 7");
  EXPECT_EQ(limits().memory, 780000u) << "cached files are given back";
  put("sys/fs/cgroup/a/b/memory.current", "2000000");
  EXPECT_EQ(limits().memory, 0u);
  put("sys/fs/cgroup/a/b/memory.max", "max");
  put("sys/fs/cgroup/a/b/cpu.max", "max 100000");
  EXPECT_EQ(limits().memory, no_limit);
  EXPECT_EQ(limits().cpus, all_cpus);
}

TEST_F(ControlGroups, Version2TheTightestOfAllThatHoldOneAnother) {
  put("proc/self/cgroup", "0::/a/b");
  for (auto [group, most, quota] :
       {std::tuple{"", "5000", "400000"}, {"a/", "900", "max"}, {"a/b/", "max", "250000"}}) {
    std::string folder = std::string("sys/fs/cgroup/") + group;
    put(folder + "memory.max", most);
    put(folder + "memory.current", "100");
    put(folder + "cpu.max", quota + std::string(" 100000"));
  }
  EXPECT_EQ(limits().memory, 800u);
  EXPECT_EQ(limits().cpus, 2.5);
}

TEST_F(ControlGroups, Version1) {
  put("proc/self/cgroup", "5:cpuset:/x\n4:memory:/m\n3:cpu,cpuacct:/c\n0::/");
  put("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "2000000");
  put("sys/fs/cgroup/memory/m/memory.usage_in_bytes", "500000");
  put("sys/fs/cgroup/memory/m/memory.stat",
      "inactive_file 7\ntotal_inactive_file 1000\ntotal_active_file 500");
  put("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "50000");
  put("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000");
  EXPECT_EQ(limits().memory, 1501500u);
  EXPECT_EQ(limits().cpus, 0.5);
  put("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "9223372036854771712");  // none, its way
  put("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "-1");
  EXPECT_EQ(limits().memory, no_limit);
  EXPECT_EQ(limits().cpus, all_cpus);
}

// The host's path, of which the container sees the mount alone.
TEST_F(ControlGroups, InAContainerTheMountItself) {
  put("proc/self/cgroup", "4:memory:/docker/0123\n3:cpu:/docker/0123");
  put("sys/fs/cgroup/memory/memory.limit_in_bytes", "4096000");
  put("sys/fs/cgroup/memory/memory.usage_in_bytes", "96000");
  put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000");
  put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
  EXPECT_EQ(limits().memory, 4000000u);
  EXPECT_EQ(limits().cpus, 3);
}

TEST_F(ControlGroups, DamagedFilesLimitNothing) {
  put("proc/self/cgroup", "nonsense\n0:memory\n:::\n0::/");
  put("sys/fs/cgroup/memory.max", "many");
  put("sys/fs/cgroup/memory.current", "");
  put("sys/fs/cgroup/cpu.max", "100000");
  EXPECT_EQ(limits().memory, no_limit);
  EXPECT_EQ(limits().cpus, all_cpus);
  put("sys/fs/cgroup/cpu.max", "100000 0");
  EXPECT_EQ(limits().cpus, all_cpus);
}

TEST_F(ControlGroups, ThreadsKeepTheQuotaBusy) {
  EXPECT_EQ(threads_for(all_cpus, 8), 8);
  EXPECT_EQ(threads_for(0.3, 8), 1);
  EXPECT_EQ(threads_for(1, 8), 1);
  EXPECT_EQ(threads_for(1.5, 8), 2);
  EXPECT_EQ(threads_for(12, 8), 8);
  EXPECT_EQ(threads_for(2, 0), 1);
}

TEST_F(ControlGroups, FreeMemoryIsTheMachinesOrTheGroupsIfThatIsLess) {
  EXPECT_EQ(free_memory(root), no_limit) << "of a machine that says nothing";
  put("proc/meminfo",
      "MemTotal:       16000000 kB\nMemFree:          100000 kB\nMemAvailable:    8000000 kB\n"
      "SwapFree:         500000 kB\nHugePages_Total:       0\nHugepagesize:       2048 kB");
  EXPECT_EQ(free_memory(root), uint64_t{8500000} * 1024);
  put("proc/self/cgroup", "0::/");
  put("sys/fs/cgroup/memory.max", "1000000000");
  put("sys/fs/cgroup/memory.current", "1000");
  EXPECT_EQ(free_memory(root), 999999000u);
}

}  // namespace
}  // namespace folio
