#include "train/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>

#include "core/check.h"

namespace folio {
namespace {

// The whole rows of iterations before `first`. Logs from before a column existed get it, empty.
std::string rows_before(const std::string& path, int64_t first) {
  const auto commas =
      std::count(LogFile::columns, LogFile::columns + std::strlen(LogFile::columns), ',');
  std::ifstream in(path);
  std::string kept, row;
  std::getline(in, row);
  while (std::getline(in, row) && !in.eof()) {
    int64_t iter = 0;
    auto read = std::from_chars(row.data(), row.data() + row.size(), iter);
    if (read.ec != std::errc() || iter >= first) continue;
    auto missing = commas - std::ranges::count(row, ',');
    kept += row + std::string(size_t(std::max<ptrdiff_t>(0, missing)), ',') + "\n";
  }
  return kept;
}

}  // namespace

LogFile::LogFile(const std::filesystem::path& path, int64_t first) : path_(path.string()) {
  std::string kept = first > 0 ? rows_before(path_, first) : "";
  write_file(path_, fmt::format("{}\n{}", columns, kept));
  file_ = open_file(path_, O_WRONLY | O_APPEND);
}

void LogFile::add(const std::string& row) {
  struct stat before {};
  bool known = retry_on_signal([&] { return fstat(file_.get(), &before); }) == 0;
  try {
    write_all(file_.get(), row + "\n", path_);
  } catch (const Error&) {
    if (known) (void)!retry_on_signal([&] { return ftruncate(file_.get(), before.st_size); });
    throw;
  }
}

}  // namespace folio
