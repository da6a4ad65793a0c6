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

ProgressLine::ProgressLine(std::string what, int64_t total_bytes, int64_t quiet_below)
    : what_(std::move(what)),
      total_(total_bytes),
      enabled_(total_bytes > 0 && total_bytes >= quiet_below),
      terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressLine::~ProgressLine() {
  if (terminal_ && percent_ >= 0) write_aside("\n");
}

void ProgressLine::update(int64_t done_bytes) {
  if (!enabled_) return;
  auto percent = int64_t(100.0 * double(done_bytes) / double(total_));
  if (!terminal_) percent = percent / 10 * 10;
  if (percent == percent_) return;
  percent_ = percent;
  std::string end = fmt::format(": {:3} % of {} kB", percent, with_commas(total_ / 1000));
  if (!terminal_) return note("{}{}\n", what_, end);
  // One column stays free: a full line would wrap. It is the name that is cut first.
  int columns = std::max(terminal_width(STDERR_FILENO) - 1, 1);
  std::string_view name = cut(what_, std::max(columns - int(end.size()), 0));
  note("\r{}", cut(fmt::format("{}{}", name, end), columns));
}

}  // namespace folio
