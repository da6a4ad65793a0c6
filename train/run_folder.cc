#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "core/check.h"
#include "data/files/replacement_file.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

constexpr const char* lock_name = "run.lock";

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "an unknown machine";
}

// What the process that holds the lock has written into it.
std::string holder(const fs::path& lock) {
  std::string text = read_file(lock.string());
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.empty() ? "another process" : text;
}

// Whether the open file is still the one at `path`: its last holder may have removed it.
bool same_file(int fd, const fs::path& path) {
  struct stat mine {
  }, there{};
  return retry_on_signal([&] { return fstat(fd, &mine); }) == 0 &&
         retry_on_signal([&] { return stat(path.c_str(), &there); }) == 0 &&
         mine.st_ino == there.st_ino && mine.st_dev == there.st_dev;
}

}  // namespace

RunFolder::RunFolder(fs::path path) : path_(std::move(path)) {
  std::error_code failure;
  fs::create_directories(path_, failure);
  check(!failure, "{}: cannot make the run's folder: {}", path_.string(), failure.message());
  fs::path lock = path_ / lock_name;
  while (true) {
    lock_ = open_file(lock.string(), O_RDWR | O_CREAT);
    locked_ = retry_on_signal([&] { return flock(lock_.get(), LOCK_EX | LOCK_NB); }) == 0;
    check(locked_ || errno != EWOULDBLOCK,
          "{}: in use by the run of {}; wait for it, stop it, or give this run another --out_dir",
          path_.string(), holder(lock));
    if (!locked_ || same_file(lock_.get(), lock)) break;
  }
  // For people alone: on a full disk the lock holds without it.
  std::string text = fmt::format("process {} on {}\n", getpid(), host_name());
  if (retry_on_signal([&] { return ftruncate(lock_.get(), 0); }) == 0)
    (void)!retry_on_signal([&] { return write(lock_.get(), text.data(), text.size()); });
}

RunFolder::~RunFolder() {
  if (locked_) unlink((path_ / lock_name).c_str());
}

std::optional<fs::path> RunFolder::set_earlier_run_aside() const {
  std::vector<fs::path> files;
  for (const char* name : {"ckpt.h5", "last.h5", "log.csv", "samples.jsonl", "report.html",
                           "tensorboard", "inside.jsonl"})
    if (fs::exists(fs::symlink_status(path_ / name))) files.emplace_back(name);
  if (files.empty()) return {};
  fs::path aside;
  int number = 0;
  do aside = path_ / fmt::format("earlier-{}", ++number);
  while (fs::exists(fs::symlink_status(aside)));
  std::error_code failure;
  fs::create_directory(aside, failure);
  for (const fs::path& file : files) {
    check(!failure, "{}: cannot move the earlier run's file into {}: {}", (path_ / file).string(),
          aside.string(), failure.message());
    rename_file((path_ / file).string(), (aside / file).string());
  }
  sync_directory_of(aside / files.front());
  sync_directory_of(aside);
  return aside;
}

}  // namespace folio
