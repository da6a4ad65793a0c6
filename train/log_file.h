#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/files/files.h"

namespace folio {

// One row of log.csv: of an evaluation (it has the first two losses), or of a logged step. What is
// not there is an empty field.
struct LogRow {
  int64_t iter = 0;
  std::optional<double> train_loss = {}, val_loss = {}, step_loss = {};
  std::optional<double> lr = {};
  std::optional<double> ms = {};         // that the step took
  std::optional<double> grad_norm = {};  // L2, before clipping
  std::optional<double> seconds = {};    // that the run has taken so far, over all its processes
  // |change| / |value| of a step, of the hidden matrices: their median and extremes.
  std::optional<double> update_ratio = {}, update_ratio_least = {}, update_ratio_most = {};

  bool is_evaluation() const { return val_loss.has_value(); }
};

// The columns but iter, in their order: name, member, digits after the point (-1: as short as can
// be).
struct LogColumn {
  const char* name;
  std::optional<double> LogRow::*member;
  int digits;
};
std::span<const LogColumn> log_columns();

// The rows of a log.csv of any folio; columns that this one lacks are passed over, and so is what
// is no whole row, as a killed run leaves it at the end. Throws Error for a file that cannot be
// read or whose first line does not begin with "iter".
std::vector<LogRow> read_log(const std::filesystem::path& path);

// out_dir/log.csv: a row an evaluation and a row a logged step. What cannot be written throws Error
// and leaves whole rows alone.
class LogFile {
 public:
  // Begins a new log, or goes on with what it says of the iterations before `first`: the others
  // will come again. Logs from before a column existed get it, empty.
  LogFile(const std::filesystem::path& path, int64_t first);

  void add(const LogRow& row);

 private:
  std::string path_;
  FileDescriptor file_;
};

}  // namespace folio
