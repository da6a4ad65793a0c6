#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>

#include "core/backend.h"
#include "data/hdf5/checkpoint_file.h"
#include "tests/device.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

constexpr int64_t elements = 20000;

CheckpointFile version(int64_t n) {
  CheckpointFile file;
  file.attributes["version"] = n;
  for (const char* name : {"model/w", "adamw/m/w", "adamw/v/w"}) {
    file.tensors[name] = to_array(std::vector<int32_t>(elements, int32_t(n)), {elements});
  }
  return file;
}

// The version that the file holds, all of it.
int64_t version_in(const fs::path& path) {
  CheckpointFile file = load(path);
  auto n = file.attribute<int64_t>("version");
  EXPECT_EQ(file.tensors.size(), 3u);
  for (const auto& [name, array] : file.tensors) {
    EXPECT_EQ(to_vector<int32_t>(array), std::vector<int32_t>(elements, int32_t(n))) << name;
  }
  return n;
}

// What the child process runs: saves version after version until it is killed, and writes one byte
// to the pipe before each save. Disabled, as it would never end by itself.
TEST(CheckpointCrash, DISABLED_Writer) {
  const char* path = std::getenv("FOLIO_CRASH_FILE");
  if (!path) GTEST_SKIP() << "a part of CheckpointCrash.LeavesTheOldOrTheNewFile";
  int pipe = std::atoi(std::getenv("FOLIO_CRASH_PIPE"));
  for (int64_t n = std::atoll(std::getenv("FOLIO_CRASH_VERSION"));; ++n) {
    CheckpointFile file = version(n);
    ASSERT_EQ(write(pipe, "s", 1), 1);
    save(path, file);
  }
}

class Writer {
 public:
  Writer(const fs::path& path, int64_t first) {
    int ends[2];
    if (pipe(ends) != 0) throw Error(strerror(errno));
    std::string file = "FOLIO_CRASH_FILE=" + path.string();
    std::string end = fmt::format("FOLIO_CRASH_PIPE={}", ends[1]);
    std::string number = fmt::format("FOLIO_CRASH_VERSION={}", first);
    char* environment[] = {file.data(), end.data(), number.data(), nullptr};
    pid_ = fork();
    if (pid_ == 0) {
      close(ends[0]);
      execle("/proc/self/exe", "writer", "--gtest_filter=CheckpointCrash.DISABLED_Writer",
             "--gtest_also_run_disabled_tests", "--gtest_brief=1", nullptr, environment);
      _exit(127);
    }
    close(ends[1]);
    pipe_ = ends[0];
  }

  bool wait_for_save() {  // until the child is about to save once more; false if it has ended
    char byte;
    return read(pipe_, &byte, 1) == 1;
  }
  // Kills it, and says how many saves it had begun that wait_for_save has not seen.
  int64_t kill() {
    ::kill(pid_, SIGKILL);
    int64_t begun = 0;
    char buffer[4096];
    for (ssize_t n; (n = read(pipe_, buffer, sizeof buffer)) > 0;) begun += n;
    int status = 0;
    waitpid(pid_, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "the writer ended by itself with status " << status;
    close(pipe_);
    return begun;
  }

 private:
  pid_t pid_ = -1;
  int pipe_ = -1;
};

TEST(CheckpointCrash, LeavesTheOldOrTheNewFile) {
  std::string name = testing::TempDir() + "folio_crash_XXXXXX";
  ASSERT_NE(mkdtemp(name.data()), nullptr) << strerror(errno);
  fs::path directory = name, path = directory / "ckpt.h5";
  int64_t held = 0, kills_inside_a_save = 0, most_files = 0;
  save(path, version(held));
  std::mt19937 random(1337);
  for (int kill = 0; kill < 200; ++kill) {
    Writer writer(path, held + 1);
    int64_t begun = held;
    // The instant of the kill is the experiment: up to 8 ms into the first or the second save.
    for (int saves = 1 + int(random() % 2); saves > 0; --saves, ++begun) {
      ASSERT_TRUE(writer.wait_for_save());
    }
    timespec delay{0, long(random() % 8'000'000)};
    nanosleep(&delay, nullptr);
    int64_t last_begun = begun + writer.kill();
    int64_t now = version_in(path);
    ASSERT_GE(now, last_begun - 1) << "the save before the last was complete";
    ASSERT_LE(now, last_begun);
    held = now;
    auto files = std::distance(fs::directory_iterator(directory), {});
    kills_inside_a_save += files > 1;
    most_files = std::max<int64_t>(most_files, files);
  }
  EXPECT_GT(kills_inside_a_save, 20);
  EXPECT_LE(most_files, 2) << "temporary files of killed writers pile up";
  save(path, version(held + 1));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory), {}), 1);
  std::printf("200 kills, %d inside a save; %d versions\n", int(kills_inside_a_save), int(held));
  fs::remove_all(directory);
}

}  // namespace
}  // namespace folio
