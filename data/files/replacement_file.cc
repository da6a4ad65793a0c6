#include "data/files/replacement_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>

#include "core/check.h"
#include "data/files/files.h"

namespace folio {
namespace {

namespace fs = std::filesystem;

fs::path directory_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

// "<target>.<digits>-<digits>.tmp"
bool is_temporary_of(std::string_view name, std::string_view target) {
  constexpr std::string_view suffix = ".tmp";
  if (!name.starts_with(target) || !name.ends_with(suffix)) return false;
  name.remove_prefix(target.size());
  if (name.size() < suffix.size() + 4 || name[0] != '.') return false;
  name = name.substr(1, name.size() - 1 - suffix.size());
  auto digits = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  };
  size_t dash = name.find('-');
  return dash != name.npos && digits(name.substr(0, dash)) && digits(name.substr(dash + 1));
}

void remove_abandoned(const fs::path& target) {
  std::error_code ignored;  // a directory that cannot be listed is reported when the file is made
  for (const auto& entry : fs::directory_iterator(directory_of(target), ignored)) {
    if (!is_temporary_of(entry.path().filename().string(), target.filename().string())) continue;
    FileDescriptor file(retry_on_signal([&] {
      return open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    }));
    if (file.get() < 0) continue;
    if (retry_on_signal([&] { return flock(file.get(), LOCK_EX | LOCK_NB); }) == 0)
      unlink(entry.path().c_str());
  }
}

}  // namespace

ReplacementFile::ReplacementFile(fs::path target) : target_(std::move(target)) {
  remove_abandoned(target_);
  for (int n = 0;; ++n) {
    temporary_ = target_;
    temporary_ += fmt::format(".{}-{}.tmp", getpid(), n);
    fd_ = retry_on_signal(
        [&] { return open(temporary_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
    if (fd_ < 0 && errno == EEXIST) continue;  // a process of that number on another machine
    check(fd_ >= 0, "{}: cannot create a file in {}: {}", target_.string(),
          directory_of(target_).string(), strerror(errno));
    struct stat status {};
    // Where the file system has no locks nobody gets one, and nothing is removed.
    bool unlocked = retry_on_signal([&] { return flock(fd_, LOCK_EX); }) != 0;
    bool known = retry_on_signal([&] { return fstat(fd_, &status); }) == 0;
    if (known && (unlocked || status.st_nlink > 0)) return;
    int reason = errno;
    close(fd_);  // removed as abandoned between open and flock, unless there is a reason
    if (known) continue;
    unlink(temporary_.c_str());
    fail("{}: cannot look at the file made for it: {}", target_.string(), strerror(reason));
  }
}

ReplacementFile::~ReplacementFile() {
  if (!committed_) unlink(temporary_.c_str());
  close(fd_);
}

void ReplacementFile::commit() {
  // The calls stand apart from the checks, whose arguments (errno's) may be evaluated before them.
  bool synced = retry_on_signal([&] { return fsync(fd_); }) == 0;
  check(synced, "{}: cannot write to the disk: {}", target_.string(), strerror(errno));
  rename_file(temporary_.string(), target_.string());
  committed_ = true;
}

void sync_directory_of(const fs::path& file) {
  FileDescriptor directory(retry_on_signal(
      [&] { return open(directory_of(file).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  int result = directory.get() < 0 ? -1 : retry_on_signal([&] { return fsync(directory.get()); });
  int reason = errno;
  // EINVAL: a file system whose directories cannot be synced
  check(result == 0 || reason == EINVAL,
        "{}: written, but its directory cannot be synced to the disk: {}", file.string(),
        strerror(reason));
}

}  // namespace folio
