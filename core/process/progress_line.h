#pragma once
#include <cstdint>
#include <string>

namespace folio {

// "reading the text: 40 % of 2,000 MB" on standard error: one live line on a terminal, cut to its
// width, a line every tenth elsewhere, nothing for less than `quiet_below`. What cannot be written
// is lost.
class ProgressLine {
 public:
  ProgressLine(std::string what, int64_t total_bytes, int64_t quiet_below = 32 << 20);
  ~ProgressLine();
  void update(int64_t done_bytes);

 private:
  std::string what_;
  int64_t total_;
  bool enabled_, terminal_;
  int64_t percent_ = -1;  // printed last
};

}  // namespace folio
