#pragma once
#include <filesystem>
#include <string>

#include "data/files/files.h"

namespace folio {

// out_dir/log.csv: a row an evaluation and a row a logged step. What cannot be written throws Error
// and leaves whole rows alone.
class LogFile {
 public:
  // Begins a new log, or goes on with what it says of the iterations before `first`: the others
  // will come again.
  LogFile(const std::filesystem::path& path, int64_t first);

  void add(const std::string& row);  // without its newline

  static constexpr const char* columns = "iter,train_loss,val_loss,step_loss,lr,ms,grad_norm";

 private:
  std::string path_;
  FileDescriptor file_;
};

}  // namespace folio
