#include "sample/stop_strings.h"

#include <algorithm>

#include "core/check.h"

namespace folio {

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  for (const std::string& string : strings_)
    check(!string.empty(), "stop: an empty string would stop every text at once");
}

std::string StopStrings::push(std::string_view piece) {
  if (stopped_) return "";
  std::string certain;
  for (char c : piece) {
    waiting_ += c;
    size_t complete = 0;  // bytes
    for (const std::string& string : strings_)
      if (waiting_.ends_with(string)) complete = std::max(complete, string.size());
    if (complete > 0) {
      stopped_ = true;
      certain.append(waiting_, 0, waiting_.size() - complete);
      waiting_.clear();
      return certain;
    }
    size_t free = waiting_.size() - longest_beginning();
    certain.append(waiting_, 0, free);
    waiting_.erase(0, free);
  }
  return certain;
}

std::string StopStrings::finish() { return std::exchange(waiting_, ""); }

// Bytes at the end of waiting_ that begin a stop string.
size_t StopStrings::longest_beginning() const {
  size_t longest = 0;
  for (const std::string& string : strings_) {
    size_t most = std::min(waiting_.size(), string.size() - 1);
    for (size_t n = most; n > longest; --n) {
      if (waiting_.ends_with(std::string_view(string).substr(0, n))) longest = n;
    }
  }
  return longest;
}

}  // namespace folio
