#include "data/progress_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace folio {

ProgressLine::ProgressLine(std::string what, int64_t total_bytes, int64_t quiet_below)
    : what_(std::move(what)),
      total_(total_bytes),
      enabled_(total_bytes > 0 && total_bytes >= quiet_below),
      terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (terminal_ && percent_ >= 0) std::fputs("\n", stderr);
}

void ProgressLine::update(int64_t done_bytes) {
  if (!enabled_) return;
  auto percent = int64_t(100.0 * double(done_bytes) / double(total_));
  if (!terminal_) percent = percent / 10 * 10;
  if (percent == percent_) return;
  percent_ = percent;
  fmt::print(stderr, "{}{}: {:3} % of {} kB{}", terminal_ ? "\r" : "", what_, percent,
             with_commas(total_ / 1000), terminal_ ? "" : "\n");
  std::fflush(stderr);
}

std::string with_commas(int64_t count) {
  std::string digits = std::to_string(count);
  for (auto i = int64_t(digits.size()) - 3; i > (count < 0); i -= 3)
    digits.insert(size_t(i), 1, ',');
  return digits;
}

}  // namespace folio
