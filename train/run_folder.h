#pragma once
#include <filesystem>
#include <optional>

#include "data/files/files.h"

namespace folio {

// The folder in which a run keeps its checkpoints, logs and report, for as long as it is this
// process's alone: run.lock in it is locked (flock) and names the process. Where the file system
// has no locks nobody is kept out.
class RunFolder {
 public:
  // Makes the folder where there is none. Throws Error, naming the process, if a live run has it.
  explicit RunFolder(std::filesystem::path path);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  // Moves the files of an earlier run into a new folder in this one, "earlier-1" or the next number
  // that is free, and gives its path; none if there are no such files.
  std::optional<std::filesystem::path> set_earlier_run_aside() const;

 private:
  std::filesystem::path path_;
  FileDescriptor lock_;
  bool locked_ = false;
};

}  // namespace folio
