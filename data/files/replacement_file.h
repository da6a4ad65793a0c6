#pragma once
#include <filesystem>

namespace folio {

// A file that takes another's place, whole or not at all: written under a temporary name
// ("ckpt.h5.1234-0.tmp", 1234 being the process) beside its target, synced, renamed over it. The
// writer holds a lock (flock) on it for as long as it lives, so a temporary file whose lock is free
// is what a killed process left behind; the constructor removes those of the same target.
class ReplacementFile {
 public:
  explicit ReplacementFile(std::filesystem::path target);  // throws Error
  ~ReplacementFile();  // removes the temporary file unless it was committed
  ReplacementFile(const ReplacementFile&) = delete;
  ReplacementFile& operator=(const ReplacementFile&) = delete;

  int fd() const { return fd_; }  // open for reading and writing, empty at first
  const std::filesystem::path& temporary() const { return temporary_; }  // until it is committed
  void commit();  // syncs the file and renames it over its target

 private:
  std::filesystem::path target_, temporary_;
  int fd_ = -1;
  bool committed_ = false;
};

// Makes the last rename to `file` survive a power failure. Throws Error.
void sync_directory_of(const std::filesystem::path& file);

}  // namespace folio
