#include "core/process/progress_line.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "core/process/output.h"
#include "core/text/numbers.h"

namespace folio {
namespace {

// The first `columns` characters of UTF-8, taking each to be one column wide.
std::string_view cut(std::string_view text, int columns) {
  size_t at = 0;
  for (; at < text.size(); ++at)
    if ((text[at] & '\xc0') != '\x80' && columns-- == 0) break;
  return text.substr(0, at);
}

}  // namespace

ProgressLine::ProgressLine(std::string what, int64_t total, int64_t quiet_below, std::string unit)
    : what_(std::move(what)),
      of_(unit.empty() ? with_commas(total / 1000) + " kB" : with_commas(total) + " " + unit),
      total_(total),
      enabled_(total > 0 && total >= quiet_below),
      terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (terminal_ && percent_ >= 0) write_aside("\n");
}

void ProgressLine::update(int64_t done) {
  if (!enabled_) return;
  auto percent = int64_t(100.0 * double(done) / double(total_));
  if (!terminal_) percent = percent / 10 * 10;
  if (percent == percent_) return;
  percent_ = percent;
  std::string end = fmt::format(": {:3} % of {}", percent, of_);
  if (!terminal_) return note("{}{}\n", what_, end);
  // One column stays free: a full line would wrap. It is the name that is cut first.
  int columns = std::max(terminal_width(STDERR_FILENO) - 1, 1);
  std::string_view name = cut(what_, std::max(columns - int(end.size()), 0));
  note("\r{}", cut(fmt::format("{}{}", name, end), columns));
}

}  // namespace folio
